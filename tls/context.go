package tls

import stdtls "crypto/tls"

// Context is an immutable context.
type Context struct {
	server bool
	alpn   []string
}

func NewContext(cfg Config) (*Context, []Notice, error) { return &Context{}, nil, nil }

func (c *Context) Server() bool                            { return c.server }
func (c *Context) ServerConfig() *stdtls.Config            { return &stdtls.Config{} }
func (c *Context) ClientConfig() *stdtls.Config            { return &stdtls.Config{InsecureSkipVerify: true} }
func (c *Context) HasCertificate() bool                    { return false }
func (c *Context) ALPN() []string                          { return c.alpn }
func (c *Context) SelectALPN(offered []string) string      { return "" }
func (c *Context) VerifyPeer() bool                        { return false }
func (c *Context) VerifyContinue() bool                    { return false }
func (c *Context) IgnorePurpose() bool                     { return false }
func (c *Context) Depth() int                              { return 9 }
func (c *Context) CRLCheck() (leaf, chain bool)            { return false, false }
func (c *Context) CAs() (file, path string)                { return "", "" }
func (c *Context) UsesDANE() (enabled, noEENamechecks bool) { return false, false }
