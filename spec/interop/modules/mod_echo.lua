-- For specs only. Stanzas to echo@ come back with the same payload; what was read of those to witness@ comes back as JSON in base64.
local array = require "util.array";
local base64 = require "util.encodings".base64.encode;
local json = require "util.json".encode;
local st = require "util.stanza";

local xmlns = "urn:x-spec:witness";

local function send_back(origin, reply, stanza)
	reply.attr.from, reply.attr.to = stanza.attr.to, stanza.attr.from;
	if stanza.name == "iq" then reply.attr.type = "result"; end
	origin.send(reply);
	return true;
end

-- Without declarations: each element has its namespace, and each attribute as expat expanded its name.
local function read_of(element, inherited)
	local namespace = element.attr.xmlns or inherited;
	local seen = { namespace = namespace, name = element.name, attributes = array {}, children = array {} };
	for name, value in pairs(element.attr) do
		local space, rest = name:match("^([^\1]*)\1(.*)$");
		if name ~= "xmlns" then
			table.insert(seen.attributes, { space or "", rest or name, value });
		end
	end
	for _, child in ipairs(element) do
		table.insert(seen.children, type(child) == "string" and child or read_of(child, namespace));
	end
	return seen;
end

local function receive(event)
	local origin, stanza = event.origin, event.stanza;
	local user = stanza.attr.to:match("^(%a+)@");
	if user ~= "echo" and user ~= "witness" then return nil; end
	if stanza.attr.type == "error" or stanza.attr.type == "result" then return true; end
	if user == "echo" then return send_back(origin, st.clone(stanza), stanza); end
	local reply = st.stanza(stanza.name, { id = stanza.attr.id });
	return send_back(origin, reply:text_tag("seen", base64(json(read_of(stanza, "jabber:server"))), { xmlns = xmlns }), stanza);
end

for _, name in ipairs { "message", "presence", "iq" } do
	module:hook(name .. "/bare", receive, 100);
end
