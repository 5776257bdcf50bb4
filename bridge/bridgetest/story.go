package bridgetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"footbridge/activitypub/activitypubtest"
	"footbridge/atproto/atprototest"
	"footbridge/bridge"
)

// Story is a conversation between two people who joined and one who did not, told while it happens. The demo prints it and
// a test plays it; every step is checked where people would look, on the other network.
type Story struct {
	w     *World
	out   io.Writer
	http  *http.Client
	view  AppView
	start time.Time

	ana, cleo *activitypubtest.Actor
	ben       *atprototest.Account
	anaCopy   string // DID of Ana's copy
	benCopy   string // actor id of Ben's copy
	soup      string // ids of two of Ana's posts
	door      string

	mu       sync.Mutex
	outcomes []bridge.Outcome
}

// NewStory prepares a story; Observe must be handed to the World that is made next.
func NewStory(out io.Writer) *Story {
	return &Story{out: out, http: &http.Client{Timeout: 10 * time.Second}, start: time.Now()}
}

// Observe collects what became of each event.
func (s *Story) Observe(o bridge.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes = append(s.outcomes, o)
}

// reason waits for an event that was dropped and returns why.
func (s *Story) reason(ctx context.Context, match func(bridge.Outcome) bool) (why string, err error) {
	err = Eventually(ctx, "an event that is not carried", func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, o := range s.outcomes {
			if o.Result == "dropped" && match(o) {
				why = o.Reason
				return nil
			}
		}
		return fmt.Errorf("not among %d outcomes", len(s.outcomes))
	})
	return why, err
}

func (s *Story) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%6.1fs  %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}

func (s *Story) chapter(title string) { fmt.Fprintf(s.out, "\n%s\n", title) }

// Tell plays the whole story in a running world; the first step that does not hold ends it with an error.
func (s *Story) Tell(ctx context.Context, w *World) error {
	s.w, s.view = w, AppView{Base: w.AT.AppView.URL(), HTTP: s.http}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"Three people", s.people}, {"Ana joins from the fediverse", s.anaJoins}, {"Ben joins from the ATmosphere", s.benJoins},
		{"They follow each other's copy", s.follow}, {"Ana posts", s.anaPosts}, {"Ben answers", s.benAnswers},
		{"What does not cross", s.nothingCrosses}, {"An edit and a delete", s.editAndDelete}, {"Ana leaves", s.anaLeaves},
	} {
		s.chapter(step.name)
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w%s", step.name, err, s.faults())
		}
	}
	return nil
}

// faults are what the judges of the ATmosphere refused.
func (s *Story) faults() string {
	var b strings.Builder
	for _, r := range s.w.AT.Relay.Rejected() {
		fmt.Fprintf(&b, "\n  the relay refused: %+v", r)
	}
	for _, f := range s.w.AT.AppView.Faults() {
		fmt.Fprintf(&b, "\n  the AppView found: %+v", f)
	}
	return b.String()
}

func (s *Story) people(context.Context) (err error) {
	if s.ana, err = s.w.Fedi.NewActor(activitypubtest.ActorOptions{Name: "ana", Display: "Ana", Summary: "<p>Soup kitchen, Tuesdays.</p>"}); err != nil {
		return err
	}
	if s.cleo, err = s.w.Fedi.NewActor(activitypubtest.ActorOptions{Name: "cleo", Display: "Cleo"}); err != nil {
		return err
	}
	if s.ben, err = s.w.AT.PDS.CreateAccount("ben.pds.test"); err != nil {
		return err
	}
	if _, err = s.w.AT.PDS.Put(s.ben, "app.bsky.actor.profile", "self", map[string]any{"displayName": "Ben", "description": "Drives the van."}); err != nil {
		return err
	}
	s.say("Ana  is @%s on the fediverse.", s.ana.Acct)
	s.say("Ben  is @ben.pds.test on the ATmosphere.")
	s.say("Cleo is @%s on the fediverse. She will not join.", s.cleo.Acct)
	return nil
}

// bot reads where the bridge's own accounts are.
func (s *Story) bot(ctx context.Context) (actor, did, collection string, err error) {
	var doc struct {
		Bot     struct{ Actor, DID string }
		Consent struct{ Collection string }
	}
	err = s.get(ctx, s.w.URL+"/.well-known/footbridge.json", &doc)
	return doc.Bot.Actor, doc.Bot.DID, doc.Consent.Collection, err
}

func (s *Story) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/activity+json, application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", url, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

var codeInNotice = regexp.MustCompile(`yes all ([0-9A-Z]+)`)

func (s *Story) anaJoins(ctx context.Context) error {
	bot, _, _, err := s.bot(ctx)
	if err != nil {
		return err
	}
	if _, err := s.ana.Follow(ctx, bot); err != nil {
		return err
	}
	s.say("Ana follows the bridge account. That says who she is, not that she was told, so nothing is copied yet.")
	notice, err := s.message(ctx, bot, s.ana.ID, "yes all ")
	if err != nil {
		return err
	}
	s.quote("The bridge writes to her", notice)
	code := codeInNotice.FindStringSubmatch(notice)
	if code == nil {
		return errors.New("the notice has no code")
	}
	if _, err := s.ana.Post(ctx, activitypubtest.Note{Content: "<p>yes all " + code[1] + "</p>", Visibility: activitypubtest.Direct, Mentions: []string{bot}}); err != nil {
		return err
	}
	s.say("Ana answers: yes all %s", code[1])
	if _, err := s.w.Fedi.WaitType(ctx, "Accept", bot); err != nil {
		return err
	}
	return s.anaIsThere(ctx, bot)
}

func (s *Story) anaIsThere(ctx context.Context, bot string) error {
	receipt, err := s.message(ctx, bot, s.ana.ID, "."+Zone)
	if err != nil {
		return err
	}
	handle := handleIn(receipt)
	var p Profile
	err = Eventually(ctx, "Ana's profile on the AppView", func(ctx context.Context) (err error) {
		p, err = s.view.Profile(ctx, handle)
		return err
	})
	if err != nil {
		return err
	}
	s.anaCopy = p.DID
	s.say("She gets a receipt, and on the ATmosphere there is now @%s: %q.", p.Handle, p.DisplayName)
	return nil
}

var handlePattern = regexp.MustCompile(`@([a-z0-9.-]+\.` + regexp.QuoteMeta(Zone) + `)`)

func handleIn(text string) string {
	if m := handlePattern.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// message waits for a private message of the bridge to somebody and returns its plain text.
func (s *Story) message(ctx context.Context, bot, to, piece string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	got, err := s.w.Fedi.Wait(ctx, func(r activitypubtest.Received) bool {
		return r.Type == "Create" && r.Actor == bot && strings.Contains(string(r.Raw), to) && strings.Contains(string(r.Raw), piece)
	})
	if err != nil {
		return "", fmt.Errorf("waiting for a message with %q: %w", piece, err)
	}
	object, _ := got.Activity["object"].(map[string]any)
	content, _ := object["content"].(string)
	return plainText(content), nil
}

var tagPattern = regexp.MustCompile(`<[^>]*>`)

func plainText(content string) string {
	content = strings.NewReplacer("<br>", "\n", "</p><p>", "\n\n").Replace(content)
	return html.UnescapeString(tagPattern.ReplaceAllString(content, ""))
}

func (s *Story) quote(lead, text string) {
	s.say("%s:", lead)
	for _, line := range strings.Split(text, "\n") {
		for _, part := range wrap(line, 92) {
			fmt.Fprintf(s.out, "         | %s\n", part)
		}
	}
}

// wrap breaks a line at spaces.
func wrap(line string, width int) []string {
	var out []string
	for len(line) > width {
		at := strings.LastIndexByte(line[:width], ' ')
		if at <= 0 {
			at = width
		}
		out = append(out, line[:at])
		line = strings.TrimLeft(line[at:], " ")
	}
	return append(out, line)
}

func (s *Story) benJoins(ctx context.Context) error {
	_, did, collection, err := s.bot(ctx)
	if err != nil {
		return err
	}
	if _, err := s.w.AT.PDS.Put(s.ben, "app.bsky.graph.follow", "", map[string]any{"subject": did, "createdAt": stamp()}); err != nil {
		return err
	}
	s.say("Ben follows the bridge account on his own network. Here too, nothing is copied yet.")
	var notice struct{ Text, SHA256 string }
	if err := s.get(ctx, s.w.URL+"/join/at.json", &notice); err != nil {
		return err
	}
	if _, err := s.w.AT.PDS.Put(s.ben, collection, "self", map[string]any{"answer": "yes all", "text": notice.SHA256, "createdAt": stamp()}); err != nil {
		return err
	}
	s.say("He reads the page and says yes in a record of his own repo, which names the text by its hash.")
	var finger struct{ Links []struct{ Rel, Href string } }
	err = Eventually(ctx, "Ben's actor by WebFinger", func(ctx context.Context) error {
		host := strings.TrimPrefix(s.w.URL, "http://")
		return s.get(ctx, s.w.URL+"/.well-known/webfinger?resource=acct:ben.pds.test@"+host, &finger)
	})
	if err != nil {
		return err
	}
	for _, l := range finger.Links {
		if l.Rel == "self" {
			s.benCopy = l.Href
		}
	}
	s.say("The fediverse finds him as @ben.pds.test@%s.", strings.TrimPrefix(s.w.URL, "http://"))
	return nil
}

func stamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

func (s *Story) follow(ctx context.Context) error {
	if _, err := s.ana.Follow(ctx, s.benCopy); err != nil {
		return err
	}
	err := Eventually(ctx, "the Accept of Ana's follow", func(context.Context) error {
		if slices.Contains(s.ana.Following(), s.benCopy) {
			return nil
		}
		return errors.New("not accepted")
	})
	if err != nil {
		return err
	}
	s.say("Ana follows Ben's copy. The Accept is signed by his actor.")
	if _, err := s.w.AT.PDS.Put(s.ben, "app.bsky.graph.follow", "", map[string]any{"subject": s.anaCopy, "createdAt": stamp()}); err != nil {
		return err
	}
	if _, err := s.wait(ctx, "Follow", s.benCopy, s.ana.ID); err != nil {
		return err
	}
	s.say("Ben follows Ana's copy. Ana's server gets a Follow.")
	return nil
}

// wait waits for an activity of an actor that names an id.
func (s *Story) wait(ctx context.Context, typ, actor, names string) (activitypubtest.Received, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	got, err := s.w.Fedi.Wait(ctx, func(r activitypubtest.Received) bool {
		return r.Type == typ && r.Actor == actor && strings.Contains(string(r.Raw), names)
	})
	if err != nil {
		return got, fmt.Errorf("waiting for a %s: %w", typ, err)
	}
	return got, nil
}
