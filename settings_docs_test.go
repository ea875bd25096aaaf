package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"net.server_go/loop"
)

// documentedSettings reads the tables of docs/settings.md: setting → cells,
// of the section with that title.
func documentedSettings(t *testing.T, title string) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## "+title+"\n")
	if !found {
		t.Fatalf("no section %q", title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	settings := map[string][]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if name := strings.Trim(cells[0], "`"); name != cells[0] {
			settings[name] = cells
		}
	}
	return settings
}

// settingsRead are the names that lua_api.go reads.
func settingsRead(t *testing.T) []string {
	t.Helper()
	code, err := os.ReadFile("lua_api.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, match := range regexp.MustCompile(`\bt\.(?:number|count|optionalCount|boolean|ioThread|networks|ports)\("(\w+)"`).FindAllStringSubmatch(string(code), -1) {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestSettingsAreDocumented(t *testing.T) {
	documented := slices.Sorted(maps.Keys(documentedSettings(t, "In use")))
	if read := settingsRead(t); !slices.Equal(documented, read) {
		t.Errorf("docs/settings.md has in use\n%v, lua_api.go reads\n%v", documented, read)
	}
}

// TestDocumentedDefaults: the default that is documented is what the absence
// of a setting means, and some other value means something else.
func TestDocumentedDefaults(t *testing.T) {
	const here = 3 // column
	for name, cells := range documentedSettings(t, "In use") {
		value, _, found := strings.Cut(strings.TrimPrefix(cells[here], "`"), "`")
		if !found {
			t.Errorf("%s: no default in %q", name, cells[here])
			continue
		}
		if s, l, err := settingsOf(t, "{"+name+" = "+value+"}"); err != nil || s != loop.DefaultSettings() || l != withSendBuffer(name) {
			t.Errorf("%s = %s: %+v %+v %v; want the defaults", name, value, s, l, err)
		}
		other := map[string]string{"true": "false", "false": "true", "nil": "true", `{ "127.0.0.0/8", "::1" }`: "{}", "{}": "{5222}"}[value]
		if other == "" {
			other = "77"
		}
		if s, l, err := settingsOf(t, "{"+name+" = "+other+"}"); err != nil || s == loop.DefaultSettings() && l == withSendBuffer(name) {
			t.Errorf("%s = %s: %+v %+v %v; want another setting", name, other, s, l, err)
		}
	}
}

// withSendBuffer: the default of this one is the C side's to say, by Prosody's version.
func withSendBuffer(name string) luaSettings {
	s := defaultLuaSettings
	if name == "max_send_buffer_size" {
		s.maxSendBuffer = 33554432
	}
	return s
}

func TestSettingsWithoutEffectHaveNone(t *testing.T) {
	for name := range documentedSettings(t, "Without effect") {
		for _, value := range []string{"77", "true", "false"} {
			if s, l, err := settingsOf(t, "{"+name+" = "+value+"}"); err != nil || s != loop.DefaultSettings() || l != defaultLuaSettings {
				t.Errorf("%s = %s: %+v %+v %v; want the defaults", name, value, s, l, err)
			}
		}
	}
}
