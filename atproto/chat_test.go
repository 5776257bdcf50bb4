package atproto_test

import (
	"context"
	"errors"
	"footbridge/atproto"
	"footbridge/atproto/atprototest"
	"footbridge/bridge/store"
	"footbridge/identity"
	"footbridge/identity/consent"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/auth"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

// permit asks the real gate for leave to erase, which needs no grant.
func (r *rig) permit(ctx context.Context) consent.Permit {
	r.Helper()
	gate := consent.NewGate(consent.Config{Secret: make([]byte, 32)})
	var p consent.Permit
	r.ok(store.Room[consent.Tx]{DB: r.db}.View(ctx, func(tx consent.Tx) (err error) {
		p, err = gate.Erase(ctx, tx, identity.Subject("did:plc:somebody"))
		return err
	}))
	return p
}

func (r *rig) chat(bot *atprototest.Account, receive func(context.Context, atproto.ChatMessage) error) *atproto.Chat {
	return atproto.NewChat(atproto.ChatOptions{
		Client: atproto.NewClient(r.resolver), URL: r.net.Chat.URL(), Service: atprototest.ChatDID, Store: r.sink.db, Receive: receive,
		Bot: func(context.Context) (syntax.DID, atcrypto.PrivateKey, error) {
			return syntax.DID(bot.DID), bot.SigningKey(), nil
		},
		Fastest: 5 * time.Millisecond, Slowest: 10 * time.Millisecond,
	})
}

// The bot hears what people write, once, and they hear its answer.
func TestChatBothWays(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	bot, anna := r.account("bot"), r.account("anna")
	heard := make(chan atproto.ChatMessage, 10)
	failures := 2
	var chat *atproto.Chat
	chat = r.chat(bot, func(ctx context.Context, m atproto.ChatMessage) error {
		if failures--; failures >= 0 {
			return errors.New("not yet")
		}
		heard <- m
		return chat.Send(ctx, r.permit(ctx), m.From, "you said "+m.Text)
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = chat.Poll(ctx) }()
	defer func() { cancel(); <-done }()
	r.ok(r.net.Chat.Send(anna.DID, bot.DID, "start"))
	if m := <-heard; m.Text != "start" || string(m.From) != anna.DID || m.ID == "" {
		t.Errorf("heard %+v", m)
	}
	r.ok(r.net.Eventually(ctx, func() bool { return len(r.net.Chat.Messages(anna.DID, bot.DID)) == 2 }))
	if got := r.net.Chat.Messages(anna.DID, bot.DID)[1]; got.Text != "you said start" || got.From != bot.DID {
		t.Errorf("answered %+v", got)
	}
	r.ok(r.net.Chat.Send(anna.DID, bot.DID, "stop"))
	if m := <-heard; m.Text != "stop" {
		t.Errorf("then heard %+v", m)
	}
	select {
	case m := <-heard:
		t.Errorf("heard twice: %+v", m)
	default:
	}
}

func TestChatClosedAndWithoutPermit(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	bot, anna := r.account("bot"), r.account("anna")
	chat := r.chat(bot, nil)
	if err := chat.Send(t.Context(), consent.Permit{}, syntax.DID(anna.DID), "hello"); !errors.Is(err, consent.ErrNoPermit) {
		t.Errorf("without a permit: %v", err)
	}
	if n := len(r.net.Chat.Messages(anna.DID, bot.DID)); n != 0 {
		t.Errorf("%d messages without a permit", n)
	}
	r.net.Chat.CloseFor(anna.DID)
	if err := chat.Send(t.Context(), r.permit(t.Context()), syntax.DID(anna.DID), "hello"); !errors.Is(err, atproto.ErrChatClosed) {
		t.Errorf("closed: %v", err)
	}
}

// The fake chat service is what tells a good token from a bad one; it must refuse all of these.
func TestChatServiceRefusesBadTokens(t *testing.T) {
	r := newRig(t, atprototest.Options{})
	bot := r.account("bot")
	mallory := r.account("mallory")
	const method = "chat.bsky.convo.listConvos"
	sign := func(iss, aud, lxm string, ttl time.Duration, key atcrypto.PrivateKey) string {
		nsid := syntax.NSID(lxm)
		token, err := auth.SignServiceAuth(syntax.DID(iss), aud, ttl, &nsid, key)
		r.ok(err)
		return token
	}
	good := sign(bot.DID, atprototest.ChatDID, method, time.Minute, bot.SigningKey())
	call := func(token string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.net.Chat.URL()+"/xrpc/"+method, nil)
		r.ok(err)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultTransport.RoundTrip(req)
		r.ok(err)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if status := call(good); status != http.StatusOK {
		t.Fatalf("a good token: %d", status)
	}
	for name, token := range map[string]string{
		"replayed":       good,
		"wrong aud":      sign(bot.DID, "did:web:other.example", method, time.Minute, bot.SigningKey()),
		"wrong lxm":      sign(bot.DID, atprototest.ChatDID, "chat.bsky.convo.getLog", time.Minute, bot.SigningKey()),
		"expired":        sign(bot.DID, atprototest.ChatDID, method, -time.Minute, bot.SigningKey()),
		"lives too long": sign(bot.DID, atprototest.ChatDID, method, time.Hour, bot.SigningKey()),
		"another's key":  sign(bot.DID, atprototest.ChatDID, method, time.Minute, mallory.SigningKey()),
		"alg none":       "eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".",
		"nothing":        "",
	} {
		if status := call(token); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
}

func TestSplitMessage(t *testing.T) {
	long := strings.Repeat("word 👩‍👩‍👧‍👦 ", 700)
	parts := atproto.SplitMessage(long)
	if strings.Join(strings.Fields(strings.Join(parts, " ")), " ") != strings.Join(strings.Fields(long), " ") {
		t.Error("text was lost")
	}
	for _, p := range parts {
		if len(p) > 10_000 || strings.HasPrefix(p, "\u200d") {
			t.Errorf("a part of %d bytes", len(p))
		}
	}
	if got := atproto.SplitMessage(" \n "); len(got) != 0 {
		t.Errorf("nothing to say, said %q", got)
	}
	if got := atproto.LinkFacets("see https://a.example/x?y=z. And (http://b.example)"); len(got) != 2 {
		t.Errorf("facets %v", got)
	}
}
