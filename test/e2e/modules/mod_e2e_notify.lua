-- `prosodyctl start` of 13.0.1 leaves the daemon with both ends of the socket on which it was told of the start. Nobody reads it any
-- more, so with two messages each, the sixth reload would wait for ever, on any backend. Here it does not wait.
if prosody.notify_socket then
	prosody.notify_socket:settimeout(0);
end
