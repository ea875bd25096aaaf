-- docs/behaviour.md numbers what the specs test; here the two are compared.
local h = require "harness";

local function contents(path)
	local file = assert(io.open(path));
	local text = file:read("*a");
	file:close();
	return text;
end

local function exists(path)
	local file = io.open(path);
	return file and file:close();
end

-- number of a row → the row
local function rows()
	local found = {};
	for line in contents(h.root .. "/docs/behaviour.md"):match("\n## 8%. Testable behaviours\n(.-)\n## "):gmatch("[^\n]+") do
		local number = tonumber(line:match("^| (%d+) |"));
		if number then
			assert.is_nil(found[number], "two rows have number " .. number);
			found[number] = line;
		end
	end
	return found;
end

-- number of a row → a spec with its tag
local function tags()
	local found = {};
	local list = io.popen("ls '" .. h.root .. "'/test/lua/*_spec.lua");
	for path in list:lines() do
		for number in contents(path):gmatch("#row(%d+)") do
			found[tonumber(number)] = path;
		end
	end
	list:close();
	return found;
end

describe("docs/behaviour.md", function ()
	it("has the row of each tag", function ()
		local row = rows();
		for number, path in pairs(tags()) do
			assert.is_string(row[number], ("%s has the tag row%d"):format(path, number));
		end
	end);

	it("has a spec for each row, or names another test", function ()
		local tag, untested = tags(), {};
		for number, row in pairs(rows()) do
			local other = row:match("%(`(test/[%w_/.]+)`%)");
			if not tag[number] and not (other and exists(h.root .. "/" .. other)) then
				table.insert(untested, row);
			end
		end
		assert.same({}, untested);
	end);

	it("has the numbers that docs/differences.md gives in brackets", function ()
		local row = rows();
		for number in contents(h.root .. "/docs/differences.md"):gmatch("%[(%d+)%] |") do
			assert.is_string(row[tonumber(number)], "docs/differences.md has row " .. number);
		end
	end);
end);
