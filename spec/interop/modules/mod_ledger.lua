-- For specs only: writes down each message that arrives here and each that comes back, and sends what it is told to send.
local st = require "util.stanza";

local ledger = assert(io.open(module:get_option_string("ledger_file"), "a"));

-- What is written down has left the process: a kill loses nothing of it.
local function note(what, id)
	ledger:write(what, " ", id or "", "\n");
	ledger:flush();
end

-- "send 1 500 engine.test": so many messages, some in every turn, so that other streams are served between them.
local function send(first, last, to)
	local next_one = first;
	module:add_timer(0, function ()
		for _ = 1, 50 do
			if next_one > last then return nil; end
			local id = "p" .. next_one;
			note("sent", id);
			module:send(st.message({ from = module.host, to = to, id = id, type = "normal" }, "number " .. next_one));
			next_one = next_one + 1;
		end
		return 0.005;
	end);
end

local function receive(event)
	local stanza = event.stanza;
	if stanza.attr.type == "error" then
		note("bounced", stanza.attr.id);
		return true;
	end
	note("got", stanza.attr.id);
	local first, last, to = (stanza:get_child_text("body") or ""):match("^send (%d+) (%d+) (%S+)$");
	if first then send(tonumber(first), tonumber(last), to); end
	return true;
end

module:hook("message/host", receive, 10);
