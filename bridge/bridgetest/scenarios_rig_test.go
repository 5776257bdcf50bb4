package bridgetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"footbridge/activitypub/activitypubtest"
	"footbridge/atproto/atprototest"
	"footbridge/bridge"
	"footbridge/bridge/bridgetest"
)

// rig is a world with a clock, a log and the bot's addresses at hand, for scenarios of their own.
type rig struct {
	t     *testing.T
	w     *bridgetest.World
	dir   string
	view  bridgetest.AppView
	http  *http.Client
	log   *logBuffer
	clock *clock

	bot, botDID, collection string

	mu       sync.Mutex
	outcomes []bridge.Outcome
}

// logBuffer takes a log that many goroutines write.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// clock is the real time moved forward: timers run on, dates jump.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// level is what the bridge logs in a scenario.
func newRig(t *testing.T, level slog.Level, change func(*bridgetest.Options)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), log: &logBuffer{}, clock: &clock{}}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.http = &http.Client{Timeout: 10 * time.Second, Jar: jar}
	o := bridgetest.Options{Dir: r.dir, Now: r.clock.Now, Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: level})), Observe: r.observe}
	if change != nil {
		change(&o)
	}
	if r.w, err = bridgetest.New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.w.Close(); err != nil {
			t.Error("stopping the world:", err)
		}
	})
	r.view = bridgetest.AppView{Base: r.w.AT.AppView.URL(), HTTP: r.http}
	var doc struct {
		Bot     struct{ Actor, DID string }
		Consent struct{ Collection string }
	}
	r.getJSON(r.w.URL+"/.well-known/footbridge.json", &doc)
	r.bot, r.botDID, r.collection = doc.Bot.Actor, doc.Bot.DID, doc.Consent.Collection
	return r
}

func (r *rig) observe(o bridge.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, o)
}

// outcome waits for an event that ended in a way.
func (r *rig) outcome(what string, match func(bridge.Outcome) bool) {
	r.t.Helper()
	r.eventually("an outcome: "+what, func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if slices.ContainsFunc(r.outcomes, match) {
			return nil
		}
		return fmt.Errorf("not among %+v", r.outcomes)
	})
}

func (r *rig) eventually(what string, check func(context.Context) error) {
	r.t.Helper()
	if err := bridgetest.Eventually(r.t.Context(), what, check); err != nil {
		log := r.log.Bytes()
		r.t.Logf("%s\n%s", strings.Join(r.pending(), "\n"), log[max(0, len(log)-3000):])
		r.t.Fatal(err)
	}
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// answer is what a GET got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (r *rig) fetch(method, link, accept string, form url.Values) answer {
	r.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, link, body)
	r.must(err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := r.http.Do(req)
	r.must(err)
	text, err := io.ReadAll(resp.Body)
	r.must(errors.Join(err, resp.Body.Close()))
	return answer{resp.StatusCode, resp.Header, string(text)}
}

const activityJSON = "application/activity+json"

func (r *rig) get(link string) answer {
	r.t.Helper()
	return r.fetch(http.MethodGet, link, activityJSON, nil)
}

func (r *rig) getJSON(link string, into any) {
	r.t.Helper()
	a := r.fetch(http.MethodGet, link, "application/json", nil)
	if a.status != http.StatusOK {
		r.t.Fatalf("%s: status %d", link, a.status)
	}
	r.must(json.Unmarshal([]byte(a.body), into))
}

// awaitStatus waits until a URL answers with a status.
func (r *rig) awaitStatus(link string, status int) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("status %d", status), func(context.Context) error {
		if a := r.get(link); a.status != status {
			return fmt.Errorf("%s answers %d", link, a.status)
		}
		return nil
	})
}

// tell sends a direct message to the bot.
func (r *rig) tell(a *activitypubtest.Actor, text string) {
	r.t.Helper()
	_, err := a.Post(r.t.Context(), activitypubtest.Note{Content: "<p>" + text + "</p>", Visibility: activitypubtest.Direct, Mentions: []string{r.bot}})
	r.must(err)
}

// heard waits for a private message of the bot to somebody of the fediverse, and returns its HTML.
func (r *rig) heard(to, piece string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), bridgetest.Patience)
	defer cancel()
	got, err := r.w.Fedi.Wait(ctx, func(g activitypubtest.Received) bool {
		return g.Type == "Create" && g.Actor == r.bot && strings.Contains(string(g.Raw), to+`"`) && strings.Contains(string(g.Raw), piece)
	})
	if err != nil {
		r.t.Fatalf("waiting for a message with %q: %v", piece, err)
	}
	object, _ := got.Activity["object"].(map[string]any)
	content, _ := object["content"].(string)
	return content
}

var yesAll = regexp.MustCompile(`yes all ([0-9A-Z]+)`)

// joinFediverse lets an actor follow the bot, read the notice and answer it; it returns the receipt's HTML and the handle
// of the copy.
func (r *rig) joinFediverse(a *activitypubtest.Actor, yes string) (receipt, handle string) {
	r.t.Helper()
	_, err := a.Follow(r.t.Context(), r.bot)
	r.must(err)
	code := yesAll.FindStringSubmatch(r.heard(a.ID, "yes all "))
	r.tell(a, yes+" "+code[1])
	receipt = r.heard(a.ID, "."+bridgetest.Zone)
	handle = regexp.MustCompile(`@([a-z0-9.-]+\.` + regexp.QuoteMeta(bridgetest.Zone) + `)`).FindStringSubmatch(receipt)[1]
	r.eventually("the bot's follow of the member", func(context.Context) error {
		if slices.Contains(a.Followers(), r.bot) {
			return nil
		}
		return errors.New("not yet")
	})
	return receipt, handle
}

// profile waits for a profile on the AppView.
func (r *rig) profile(actor string) (p bridgetest.Profile) {
	r.t.Helper()
	r.eventually("a profile on the AppView", func(ctx context.Context) (err error) {
		p, err = r.view.Profile(ctx, actor)
		return err
	})
	return p
}

// noProfile waits until the AppView shows a profile no more.
func (r *rig) noProfile(actor string) {
	r.t.Helper()
	r.eventually("a profile to vanish", func(ctx context.Context) error {
		if _, err := r.view.Profile(ctx, actor); err == nil {
			return errors.New("it is shown")
		}
		return nil
	})
}

// joinAT lets an account say yes in a record of its own repo and returns the actor id of the copy.
func (r *rig) joinAT(a *atprototest.Account, handle, yes string) string {
	r.t.Helper()
	var notice struct{ SHA256 string }
	r.getJSON(r.w.URL+"/join/at.json", &notice)
	r.put(a, r.collection, "self", map[string]any{"answer": yes, "text": notice.SHA256, "createdAt": stamp()})
	return r.finger(handle)
}

// finger waits until WebFinger knows the copy of a handle.
func (r *rig) finger(handle string) (actor string) {
	r.t.Helper()
	r.eventually("a copy by WebFinger", func(context.Context) error {
		a := r.fetch(http.MethodGet, r.fingerURL(handle), "application/jrd+json", nil)
		var doc struct{ Links []struct{ Rel, Href string } }
		if err := json.Unmarshal([]byte(a.body), &doc); err != nil || a.status != http.StatusOK {
			return fmt.Errorf("status %d", a.status)
		}
		for _, l := range doc.Links {
			if l.Rel == "self" {
				actor = l.Href
			}
		}
		return nil
	})
	return actor
}

func (r *rig) fingerURL(handle string) string {
	return r.w.URL + "/.well-known/webfinger?resource=acct:" + handle + "@" + strings.TrimPrefix(r.w.URL, "http://")
}

func stamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

// put writes a record.
func (r *rig) put(a *atprototest.Account, collection, rkey string, record map[string]any) atprototest.Ref {
	r.t.Helper()
	ref, err := r.w.AT.PDS.Put(a, collection, rkey, record)
	r.must(err)
	return ref
}

// skeet writes a post.
func (r *rig) skeet(a *atprototest.Account, text string, extra map[string]any) atprototest.Ref {
	r.t.Helper()
	record := map[string]any{"text": text, "langs": []any{"en"}, "createdAt": stamp()}
	for k, v := range extra {
		record[k] = v
	}
	return r.put(a, "app.bsky.feed.post", "", record)
}

// toot writes a public post.
func (r *rig) toot(a *activitypubtest.Actor, n activitypubtest.Note) activitypubtest.Posted {
	r.t.Helper()
	p, err := a.Post(r.t.Context(), n)
	r.must(err)
	return p
}

// find waits for a post on the AppView.
func (r *rig) find(actor, piece string) bridgetest.Post {
	r.t.Helper()
	p, err := r.view.Find(r.t.Context(), actor, piece)
	r.must(err)
	return p
}

// arrives waits for an activity of an actor that names a piece.
func (r *rig) arrives(typ, actor, piece string) activitypubtest.Received {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), bridgetest.Patience)
	defer cancel()
	got, err := r.w.Fedi.Wait(ctx, func(g activitypubtest.Received) bool {
		return g.Type == typ && g.Actor == actor && strings.Contains(string(g.Raw), piece)
	})
	if err != nil {
		r.t.Fatalf("waiting for a %s with %q: %v", typ, piece, err)
	}
	return got
}

// actor makes somebody on the fediverse.
func (r *rig) actor(o activitypubtest.ActorOptions) *activitypubtest.Actor {
	r.t.Helper()
	a, err := r.w.Fedi.NewActor(o)
	r.must(err)
	return a
}

// account makes somebody on the ATmosphere, with a profile.
func (r *rig) account(handle, name, bio string) *atprototest.Account {
	r.t.Helper()
	a, err := r.w.AT.PDS.CreateAccount(handle)
	r.must(err)
	r.put(a, "app.bsky.actor.profile", "self", map[string]any{"displayName": name, "description": bio})
	return a
}

// follows lets somebody of the fediverse follow a copy.
func (r *rig) follows(a *activitypubtest.Actor, copied string) {
	r.t.Helper()
	_, err := a.Follow(r.t.Context(), copied)
	r.must(err)
	r.eventually("an Accept", func(context.Context) error {
		if slices.Contains(a.Following(), copied) {
			return nil
		}
		return errors.New("not accepted")
	})
}

// idle waits until no job is due at once.
func (r *rig) idle() {
	r.t.Helper()
	r.eventually("the queue to empty", func(ctx context.Context) error { return r.noJobs(ctx) })
}

// withChat is the option of a bridge with a chat service.
func withChat(o *bridgetest.Options) { o.Chat = true }

type account = atprototest.Account
