package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// patience is how long something may take to cross.
const patience = 30 * time.Second

// tale is one round: the world, and what the checks leave for each other. Checks run in order; one that needs what an
// earlier one could not make fails with it.
type tale struct {
	w    *world
	a, b *fedi

	bot, botDID, collection string

	fredCopy, fridaCopy, gusCopy string // DIDs of copies
	ben, nina                    *account
	benCopy                      string // actor id
	fredPost                     object
	fredURI                      ref
	benPost                      ref
	benNote                      string
}

type check struct {
	name string
	run  func(context.Context) error
}

func (t *tale) checks() []check {
	return append([]check{
		{"join-from-fediverse", t.joinFromFediverse},
		{"join-from-atmosphere", t.joinFromATmosphere},
		{"fediverse-post-on-appview", t.fediversePost},
		{"atmosphere-post-at-fedify", t.atmospherePost},
		{"strangers-may-follow", t.strangersFollow},
		{"preset-writes-no-likes", t.presetWritesNoLikes},
		{"scope-ticked-writes-likes", t.scopeWritesLikes},
		{"follows-public-only-if-ticked", t.followsWhenTicked},
		{"warning-and-language", t.warningAndLanguage},
		{"profile-change-crosses", t.profilesFollow},
		{"replies-thread-both-ways", t.replies},
		{"likes-and-boosts-arrive", t.reactionsArrive},
		{"undo-removes", t.undo},
		{"undo-of-boosts-and-follows", t.undoOfBoostsAndFollows},
		{"edit-updates", t.edits},
		{"delete-removes", t.deletes},
		{"only-public-crosses", t.onlyPublic},
		{"strangers-words-stay", t.strangersStay},
		{"strangers-are-unknown", t.strangersAreUnknown},
		{"fedify-is-understood", t.understood},
		{"kill-9-loses-nothing", t.kill},
		{"leave-fediverse-by-block", t.leaveFediverse},
		{"leave-fediverse-by-word", t.leaveByWord},
		{"leave-atmosphere-by-block", t.leaveATmosphere},
	}, t.browserChecks()...)
}

// runInside runs one round in the namespace that the process is in.
func runInside(ctx context.Context, name, only string) int {
	in := &installed{repo: os.Getenv("E2E_REPO"), cache: os.Getenv("E2E_CACHE")}
	w := &world{in: in, state: os.Getenv("E2E_STATE"), services: name == "services"}
	defer w.close()
	fmt.Printf("\nround: %s\n", map[string]string{"defaults": "the embedded defaults", "services": "PostgreSQL and Redis"}[name])
	err := w.settle()
	if err == nil {
		err = w.up(ctx)
	}
	if err != nil {
		fmt.Println("FAIL  start:", err)
		fmt.Println("0 passed, 1 failed")
		return 1
	}
	t := &tale{w: w, a: &fedi{w: w, origin: fediA}, b: &fedi{w: w, origin: fediB}}
	passed, failed, checks := 0, 0, t.checks()
	if os.Getenv("E2E_SCREENS") != "" {
		checks = t.browserChecks() // they need no other
		checks = slices.DeleteFunc(checks, func(c check) bool { return !strings.Contains(c.name, only) })
		only = ""
	}
	for _, c := range checks {
		began := time.Now()
		err := c.run(ctx)
		took := time.Since(began).Round(10 * time.Millisecond)
		if err != nil {
			failed++
			fmt.Printf("FAIL  %-28s %8s  %v\n", c.name, took, err)
		} else {
			passed++
			fmt.Printf("ok    %-28s %8s\n", c.name, took)
		}
		if only != "" && strings.Contains(c.name, only) {
			break
		}
	}
	if failed > 0 {
		for _, log := range []string{"bridge", "relay", "fedi-a", "fedi-b"} {
			fmt.Printf("--- the end of %s.log\n%s\n", log, tail(filepath.Join(w.state, log+".log"), 15))
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return 1
	}
	return 0
}

func needed(what string, have bool) error {
	if have {
		return nil
	}
	return errors.New("an earlier check did not make " + what)
}

// never fails if something happens within a while that must not; marker is what shows that enough has happened since.
func never(ctx context.Context, d time.Duration, bad func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := bad(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
