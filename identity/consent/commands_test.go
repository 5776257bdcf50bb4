package consent_test

import (
	"os"
	"strings"
	"testing"

	"footbridge/identity/consent"
)

func TestCommands(t *testing.T) {
	b, err := os.ReadFile("testdata/commands.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		message, want, ok := strings.Cut(line, "->")
		if !ok {
			t.Fatalf("no arrow: %q", line)
		}
		c := consent.ParseCommand(message, "en")
		got := string(c.Word)
		if c.All {
			got += " all"
		}
		if c.Code != "" {
			got += " " + c.Code
		}
		if got != strings.TrimSpace(want) {
			t.Errorf("%q: got %q, want %q", message, got, strings.TrimSpace(want))
		}
	}
}

// TestCodesAreReadBack: whatever code a notice has, its answer is understood, also in lower case.
func TestCodesAreReadBack(t *testing.T) {
	r := newRig(t)
	for range 50 {
		a := r.asked(alice)
		r.clock.pass(2 * quietHour)
		if c := consent.ParseCommand("yes all "+strings.ToLower(a.Code), "en"); c.Code != a.Code || !c.All {
			t.Errorf("code %q is read as %+v", a.Code, c)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add("<p>@bridge yes all AB2C3D</p>")
	f.Add("はいすべて")
	f.Fuzz(func(t *testing.T, s string) {
		c := consent.ParseCommand(s, "en")
		if c.Code != "" && c.Word != consent.WordYes {
			t.Errorf("%q: %+v", s, c)
		}
	})
}
