package footbridge_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// mayImport is the import table of ARCHITECTURE.md: what each room may import of ours. A package that is not here fails.
var mayImport = map[string][]string{
	"identity":                    {},
	"queue":                       {},
	"activitypub/as2":             {},
	"bridge/netguard":             {},
	"identity/consent":            {"identity"},
	"queue/memlane":               {"queue"},
	"queue/redislane":             {"queue"},
	"queue/queuetest":             {"queue"},
	"atproto":                     {"identity", "identity/consent"},
	"atproto/pds":                 {"identity", "identity/consent", "atproto"},
	"atproto/atprototest":         {"identity", "identity/consent", "atproto"},
	"activitypub":                 {"identity", "identity/consent", "activitypub/as2"},
	"activitypub/activitypubtest": {"identity", "identity/consent", "activitypub/as2", "activitypub"},
	"bridge/translate":            {"activitypub/as2"},
	"bridge":                      domain,
	"bridge/store":                append([]string{"bridge"}, domain...),
	"bridge/web":                  append([]string{"bridge"}, domain...),
	"bridge/bridgetest":           {"*"},
	"bridge/bridgetest/oracle":    {},
	"bridge/bridgetest/chaos":     {"*"},
	"bridge/bridgetest/cmd/chaos": {"*"},
	"cmd/footbridge/app":          {"*", "-bridge/bridgetest"},
	"cmd/footbridge":              {"*"},
	"scripts/testsummary":         {},
}

// domain is what the rooms where both protocols meet may import.
var domain = []string{
	"bridge/translate", "atproto", "atproto/pds", "activitypub", "activitypub/as2", "identity", "identity/consent", "queue",
}

// doors are third-party modules that only some rooms may open.
var doors = map[string][]string{
	"github.com/superseriousbusiness/activity/": {"activitypub/as2"},
	"database/sql":               {"bridge/store", "bridge/bridgetest/chaos"},
	"modernc.org/sqlite":         {"bridge/store"},
	"github.com/jackc/pgx/":      {"bridge/store", "bridge/bridgetest/chaos"},
	"github.com/redis/go-redis/": {"queue/redislane"},
	"github.com/labstack/echo/":  {"activitypub", "activitypub/activitypubtest", "atproto/pds", "atproto/atprototest", "bridge/web", "cmd/footbridge", "cmd/footbridge/app"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportTable(t *testing.T) {
	for _, p := range goList(t) {
		room := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, "footbridge"), "/")
		if room == "" {
			continue // only tests live at the root
		}
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("%s is not in the import table", room)
			continue
		}
		for _, imp := range p.Imports {
			checkImport(t, room, allowed, imp)
		}
	}
}

func checkImport(t *testing.T, room string, allowed []string, imp string) {
	t.Helper()
	if ours, ok := strings.CutPrefix(imp, "footbridge/"); ok && !permits(allowed, ours) {
		t.Errorf("%s imports %s", room, ours)
	}
	for door, rooms := range doors {
		if strings.HasPrefix(imp+"/", door+"/") || strings.HasPrefix(imp, door) && strings.HasSuffix(door, "/") {
			if !permits(rooms, room) {
				t.Errorf("%s imports %s, which only %v may", room, imp, rooms)
			}
		}
	}
}

func permits(allowed []string, name string) bool {
	all := false
	for _, a := range allowed {
		switch a {
		case name:
			return true
		case "-" + name:
			return false
		case "*":
			all = true
		}
	}
	return all
}

func TestImportTableCatchesAWrongArrow(t *testing.T) {
	for _, c := range []struct {
		room, imp string
		want      bool
	}{
		{"identity", "queue", false},
		{"bridge", "bridge/store", false},
		{"activitypub", "bridge", false},
		{"cmd/footbridge/app", "bridge/bridgetest", false},
		{"bridge/store", "bridge", true},
	} {
		if got := permits(mayImport[c.room], c.imp); got != c.want {
			t.Errorf("%s -> %s: allowed %v, want %v", c.room, c.imp, got, c.want)
		}
	}
}

func goList(t *testing.T) []listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	var all []listed
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
