-- Why a handshake failed: in words of ours, and with what the peer offered.

local h = require "harness";
local T = require "tls_harness";

describe("a handshake with nothing in common", function ()
	before_each(h.start);
	after_each(h.finish);

	it("says no more than that to Prosody, and in the log what the peer offered", function ()
		local rec = h.recorder();
		local _, port = h.listen(rec.listeners, {
			tls_ctx = T.server({ cert = "rsa", protocol = "tlsv1_2", ciphers = "ECDHE-RSA-AES128-GCM-SHA256" }), tls_direct = true,
		});
		local peer = T.connect_peer(port, { protocol = "tlsv1_2", ciphers = "DHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384" });
		assert.equal("no shared cipher", rec:wait("ondisconnect")[1]);
		assert.equal("sslv3 alert handshake failure", T.failure(peer));
		peer:close();
		assert.equal(h.deviation("LuaSec has nothing to tell", { epoll = 0, go = 1 }),
			h.logged("debug", "^Offered by the peer: versions TLSv1%.2 [^;]*; suites DHE%-RSA%-AES256%-GCM%-SHA384 ECDHE%-RSA%-AES256%-GCM%-SHA384"));
	end);
end);
