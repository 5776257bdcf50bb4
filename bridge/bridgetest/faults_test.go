package bridgetest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"footbridge/bridge/bridgetest"
	"footbridge/bridge/bridgetest/chaos"
)

// TestMain lets this test program be the bridge that is killed.
func TestMain(m *testing.M) {
	if !bridgetest.InProcess() {
		os.Exit(m.Run())
	}
	if err := bridgetest.RunProcess(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestFaults plays the short form of the faults that every change must stand (R80); go run ./bridge/bridgetest/cmd/chaos
// plays them all, at any dose.
func TestFaults(t *testing.T) {
	plain := chaos.Backend{}
	large := chaos.Backend{Postgres: need(t, "FOOTBRIDGE_TEST_POSTGRES"), Redis: need(t, "FOOTBRIDGE_TEST_REDIS_SERVER")}
	for _, c := range []struct {
		fault   string
		backend chaos.Backend
	}{
		{"F1", plain}, {"F1", large}, {"F4", large}, {"F9", plain}, {"F10", large}, {"F12", plain},
	} {
		t.Run(c.fault+" "+strings.ReplaceAll(c.backend.String(), "/", " "), func(t *testing.T) {
			fault, err := chaos.Find([]string{c.fault})
			if err != nil {
				t.Fatal(err)
			}
			const seed = 11
			report, err := fault[0].Run(t.Context(), chaos.Plan{Backend: c.backend, Seed: seed, Dose: 0.004, Output: t.Output()})
			if err != nil {
				t.Fatal(err)
			}
			report.Write(t.Output())
			if !report.Good() {
				t.Errorf("%s does not hold: %v", c.fault, report.Verdict)
			}
		})
	}
}
