local h = require "harness";
local backend = h.backend;

-- What the reference makes of contexts is a matter for specs of TLS; here is
-- what a build of server_go without TLS does: it refuses, and goes on.
local ctx = { mode = "server", protocol = "sslv23" };

describe("a context without TLS in the build", function ()
	before_each(h.start);
	after_each(h.finish);

	local function refused(ret, err)
		assert.is_nil(ret);
		assert.is_string(err);
		assert.truthy(err:find("TLS", 1, true));
	end

	it("is refused by every function that takes one", function ()
		if h.epoll then return end -- it has TLS
		local conn = h.accepted(h.recorder());
		local started, err = conn:starttls(ctx);
		if started or not (err and err:find("not supported", 1, true)) then
			pending("this build has TLS");
			return;
		end
		local port = h.free_port();
		refused(backend.addserver("127.0.0.1", port, {}, "*a", ctx));
		refused(backend.listen("127.0.0.1", port, {}, { tls_ctx = ctx, tls_direct = true }));
		refused(backend.addclient("127.0.0.1", port, {}, "*a", ctx));
		local listening = assert(require "socket".bind("127.0.0.1", port));
		refused(backend.wrapserver(listening, "127.0.0.1", port, {}, { tls_ctx = ctx, tls_direct = true }));
		local sock = assert(require "socket".connect("127.0.0.1", port));
		refused(backend.wrapclient(sock, "127.0.0.1", port, {}, "*a", ctx));
		sock:close();
		listening:close();
		h.listen({}, { tls_ctx = ctx, tls_direct = false }); -- for STARTTLS later
		assert.is_function(conn.starttls);
		assert.falsy(conn:ssl());
	end);
end);
