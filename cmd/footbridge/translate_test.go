package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

const translateContext = `"context":{"now":"2026-01-02T03:04:05.000Z","bridge":{"domain":"b.example"},"actors":{` +
	`"https://b.example/ap/did:plc:bob222":{"did":"did:plc:bob222","handle":"bob.example.com","acct":"bob.example.com@b.example","native":"at"},` +
	`"https://social.example/users/alice":{"did":"did:plc:alice2","handle":"alice.social.example.ap.b.example","acct":"alice@social.example","native":"ap"}}}`

const eventCase = `{"name":"e","direction":"at-to-ap","input":{"action":"create","uri":"at://did:plc:bob222/app.bsky.feed.post/3kab2222222ab",` +
	`"did":"did:plc:bob222","handle":"bob.example.com","record":{"$type":"app.bsky.feed.post","text":"a <b>","createdAt":"2026-01-01T12:00:00Z"}},` + translateContext + `}`

const activityCase = `{"name":"a","direction":"ap-to-at","input":{"@context":"https://www.w3.org/ns/activitystreams","id":"https://social.example/users/alice#1",` +
	`"type":"Create","actor":"https://social.example/users/alice","to":["https://www.w3.org/ns/activitystreams#Public"],"object":{"id":"https://social.example/users/alice/1",` +
	`"type":"Note","attributedTo":"https://social.example/users/alice","to":["https://www.w3.org/ns/activitystreams#Public"],"content":"<p>a &lt;b&gt;</p>","published":"2026-01-01T12:00:00Z"}},` + translateContext + `}`

func runTranslate(t *testing.T, cmd TranslateCmd, in string) []string {
	t.Helper()
	var out, errs strings.Builder
	if err := cmd.Run(streams{strings.NewReader(in), &out, &errs}); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestTranslateOne(t *testing.T) {
	if got := runTranslate(t, TranslateCmd{Direction: "at-to-ap"}, eventCase); len(got) != 1 || !strings.Contains(got[0], `"content":"<p>a &lt;b&gt;</p>"`) {
		t.Error(got)
	}
	if got := runTranslate(t, TranslateCmd{Direction: "ap-to-at"}, activityCase); len(got) != 1 || !strings.Contains(got[0], `"text":"a <b>"`) {
		t.Error(got)
	}
}

// TestTranslateStream: each line has its answer in its place, a broken one an error, and the lines after it are read.
func TestTranslateStream(t *testing.T) {
	got := runTranslate(t, TranslateCmd{Stream: true}, eventCase+"\n\nnot json\n"+activityCase)
	want := []string{`"activities"`, `"error"`, `"writes"`}
	if len(got) != len(want) {
		t.Fatalf("%d lines: %q", len(got), got)
	}
	for i, line := range got {
		if !json.Valid([]byte(line)) || !strings.Contains(line, want[i]) {
			t.Errorf("line %d is %s", i, line)
		}
	}
}

func TestTranslateNeedsADirection(t *testing.T) {
	var usage usageError
	if err := (&TranslateCmd{}).Run(streams{strings.NewReader(eventCase), &strings.Builder{}, &strings.Builder{}}); !errors.As(err, &usage) {
		t.Errorf("got %v", err)
	}
}
