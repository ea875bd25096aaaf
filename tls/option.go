package tls

import (
	"fmt"
	"slices"
	"strings"
)

// optionNames are the options of LuaSec 1.2.0 to 1.3.2 over OpenSSL 3, the keys
// of ssl.config.options. Those of older versions are among them.
var optionNames = strings.Fields(`
	all allow_client_renegotiation allow_no_dhe_kex
	allow_unsafe_legacy_renegotiation cipher_server_preference
	cisco_anyconnect cleanse_plaintext cookie_exchange cryptopro_tlsext_bug
	disable_tlsext_ca_names dont_insert_empty_fragments enable_ktls
	enable_middlebox_compat ephemeral_rsa ignore_unexpected_eof
	legacy_server_connect microsoft_big_sslv3_buffer microsoft_sess_id_bug
	msie_sslv2_rsa_padding netscape_ca_dn_bug netscape_challenge_bug
	netscape_demo_cipher_change_bug netscape_reuse_cipher_change_bug
	no_anti_replay no_compression no_dtls_mask no_dtlsv1 no_dtlsv1_2
	no_encrypt_then_mac no_extended_master_secret no_query_mtu
	no_renegotiation no_session_resumption_on_renegotiation no_ssl_mask
	no_sslv2 no_sslv3 no_ticket no_tlsv1 no_tlsv1_1 no_tlsv1_2 no_tlsv1_3
	pkcs1_check_1 pkcs1_check_2 prioritize_chacha safari_ecdhe_ecdsa_bug
	single_dh_use single_ecdh_use ssleay_080_client_dh_bug
	sslref2_reuse_cert_type_bug tls_block_padding_bug tls_d5_bug
	tls_rollback_bug tlsext_padding`)

// unheardOptions ask for what crypto/tls does not do. Of the rest some are
// honoured, some ask for what crypto/tls always does (no compression, no
// renegotiation, fresh keys), and some mean nothing to OpenSSL either.
var unheardOptions = strings.Fields(`
	allow_client_renegotiation allow_no_dhe_kex
	allow_unsafe_legacy_renegotiation ignore_unexpected_eof
	legacy_server_connect no_extended_master_secret prioritize_chacha
	tls_rollback_bug`)

func checkOptions(options []string, n *notices) error {
	for _, option := range options {
		if !slices.Contains(optionNames, option) {
			return fmt.Errorf("invalid option (%s)", option)
		}
		if slices.Contains(unheardOptions, option) {
			n.add("debug", "Option %s has no effect", option)
		}
	}
	return nil
}

// expandOptions replaces no_ssl_mask, which stands for every version.
func expandOptions(options []string) []string {
	if slices.Contains(options, "no_ssl_mask") {
		for _, v := range versions {
			options = append(slices.Clip(options), v.option)
		}
	}
	return options
}

var (
	verifyNames    = []string{"none", "peer", "client_once", "fail_if_no_peer_cert"}
	verifyExtNames = []string{"lsec_continue", "lsec_ignore_purpose", "crl_check", "crl_check_chain"}
)

func checkVerify(names, given []string) error {
	for _, name := range given {
		if !slices.Contains(names, name) {
			return fmt.Errorf("invalid verify option (%s)", name)
		}
	}
	return nil
}

// notices collects what cannot be honoured.
type notices []Notice

func (n *notices) add(level, format string, args ...any) {
	*n = append(*n, Notice{level, fmt.Sprintf(format, args...)})
}
