package atproto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"footbridge/identity/consent"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bluesky-social/indigo/atproto/atcrypto"
	"github.com/bluesky-social/indigo/atproto/auth"
	"github.com/bluesky-social/indigo/atproto/syntax"
)

// ErrChatClosed says that the recipient takes no messages from the bot; the page is offered instead.
var ErrChatClosed = errors.New("the recipient takes no messages from us")

// ChatOptions configure NewChat.
type ChatOptions struct {
	// Client makes the calls. Needed.
	Client *Client
	// URL is the base URL of the chat service, and Service its DID (did:web:api.bsky.chat). Needed.
	URL, Service string
	// Bot returns who the bot is and its signing key. Needed.
	Bot func(context.Context) (syntax.DID, atcrypto.PrivateKey, error)
	// Store keeps how far the log was read. Needed by Poll.
	Store Store
	// Receive takes a message; it returns nil once the message is durable. Messages may come twice (the same ID).
	Receive func(context.Context, ChatMessage) error
	Log     *slog.Logger
	// Fastest and Slowest bound the pause between polls: fastest after a message, doubling while nothing comes.
	// Defaults are 2 s and 30 s.
	Fastest, Slowest time.Duration
}

// ChatMessage is one message that somebody wrote to the bot.
type ChatMessage struct {
	ID, Convo string
	From      syntax.DID
	Text      string
	At        time.Time
}

// Chat lets the bot read and write private messages (chat.bsky.convo.*). Each call carries a service-auth token, signed by
// the bot's own key, that is good for this one method and a minute.
type Chat struct{ o ChatOptions }

// NewChat returns a Chat.
func NewChat(o ChatOptions) *Chat {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Fastest <= 0 {
		o.Fastest = 2 * time.Second
	}
	if o.Slowest <= 0 {
		o.Slowest = 30 * time.Second
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	return &Chat{o: o}
}

// Send writes a text to somebody, in several messages if it is long. ErrChatClosed says that they take none.
func (c *Chat) Send(ctx context.Context, permit consent.Permit, to syntax.DID, text string) error {
	convo, err := c.conversation(ctx, to)
	if err != nil {
		return fmt.Errorf("opening a conversation: %w", err)
	}
	for _, part := range splitMessage(text) {
		if err := permit.Check(c.o.Client.now(), consent.Service, consent.Erase); err != nil {
			return fmt.Errorf("sending a message: %w", err)
		}
		message := map[string]any{"text": part}
		if facets := linkFacets(part); len(facets) > 0 {
			message["facets"] = facets
		}
		body := map[string]any{"convoId": convo, "message": message}
		if _, err := c.post(ctx, "chat.bsky.convo.sendMessage", body); err != nil {
			return fmt.Errorf("sending a message: %w", closedChat(err))
		}
	}
	return nil
}

func (c *Chat) conversation(ctx context.Context, with syntax.DID) (string, error) {
	body, err := c.get(ctx, "chat.bsky.convo.getConvoForMembers", url.Values{"members": {string(with)}})
	if err != nil {
		return "", closedChat(err)
	}
	var out struct{ Convo struct{ ID string } }
	if err := json.Unmarshal(body, &out); err != nil || out.Convo.ID == "" {
		return "", fmt.Errorf("no conversation in the answer: %w", errors.Join(err, ErrNotFound))
	}
	return out.Convo.ID, nil
}

// closedChat recognises that somebody does not want to be written to. Older services say so in the message only.
func closedChat(err error) error {
	var x *XRPCError
	if !errors.As(err, &x) || x.Status >= 500 {
		return err
	}
	switch x.Name {
	case "MessagesDisabled", "NotFollowedBySender", "BlockedActor", "RecipientNotFound", "AccountSuspended":
		return fmt.Errorf("%w: %w", ErrChatClosed, err)
	}
	for _, hint := range []string{"disabled incoming messages", "someone they follow", "blocked", "recipient not found"} {
		if strings.Contains(strings.ToLower(x.Message), hint) {
			return fmt.Errorf("%w: %w", ErrChatClosed, err)
		}
	}
	return err
}

// token signs for one method.
func (c *Chat) token(ctx context.Context, method string) (string, error) {
	did, key, err := c.o.Bot(ctx)
	if err != nil {
		return "", fmt.Errorf("the bot's key: %w", err)
	}
	lxm := syntax.NSID(method)
	token, err := auth.SignServiceAuth(did, c.o.Service, time.Minute, &lxm, key)
	if err != nil {
		return "", fmt.Errorf("signing a service token: %w", err)
	}
	return token, nil
}

func (c *Chat) get(ctx context.Context, method string, params url.Values) ([]byte, error) {
	token, err := c.token(ctx, method)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.o.URL+"/xrpc/"+method+"?"+params.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", method, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	body, _, err := c.o.Client.do(req, method, maxJSON)
	return body, err
}

func (c *Chat) post(ctx context.Context, method string, body any) ([]byte, error) {
	token, err := c.token(ctx, method)
	if err != nil {
		return nil, err
	}
	return c.o.Client.procedure(ctx, c.o.URL, method, token, body)
}

// Poll reads the bot's log until ctx ends, handing each message of others to Receive and moving the cursor only then.
func (c *Chat) Poll(ctx context.Context) error {
	wait := c.o.Fastest
	for {
		n, err := c.once(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			c.o.Log.Warn("reading private messages", "error", err)
			wait = max(min(2*wait, c.o.Slowest), askedPause(err))
		case n > 0:
			wait = c.o.Fastest
		default:
			wait = min(2*wait, c.o.Slowest)
		}
		if !pause(ctx, wait) {
			return ctx.Err()
		}
	}
}

// askedPause is how long a server asks to be left alone, an hour at most.
func askedPause(err error) time.Duration {
	var x *XRPCError
	if errors.As(err, &x) {
		return min(x.RetryAfter, time.Hour)
	}
	return 0
}

// once reads one page of the log and returns how many messages it held.
func (c *Chat) once(ctx context.Context) (int, error) {
	bot, _, err := c.o.Bot(ctx)
	if err != nil {
		return 0, fmt.Errorf("the bot's key: %w", err)
	}
	var cursor string
	if err := c.o.Store.View(ctx, func(tx Tx) (err error) { cursor, err = tx.ChatCursor(bot); return err }); err != nil {
		return 0, err
	}
	params := url.Values{}
	if cursor != "" {
		params.Set("cursor", cursor)
	}
	body, err := c.get(ctx, "chat.bsky.convo.getLog", params)
	if err != nil {
		return 0, err
	}
	messages, next, err := parseLog(body, bot)
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		if err := guarded(func() error { return c.o.Receive(ctx, m) }); err != nil {
			return 0, fmt.Errorf("taking a private message: %w", err)
		}
	}
	if next == "" || next == cursor {
		return len(messages), nil
	}
	return len(messages), c.o.Store.Update(ctx, func(tx Tx) error { return tx.SetChatCursor(bot, next) })
}

// parseLog takes the new messages of others out of a page; other entries are passed over.
func parseLog(body []byte, bot syntax.DID) ([]ChatMessage, string, error) {
	var page struct {
		Cursor string
		Logs   []struct {
			Type    string `json:"$type"`
			ConvoID string
			Message struct {
				Type   string `json:"$type"`
				ID     string
				Text   string
				Sender struct{ DID string }
				SentAt string
			}
		}
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, "", fmt.Errorf("parsing the message log: %w", err)
	}
	var out []ChatMessage
	for _, l := range page.Logs {
		from, err := syntax.ParseDID(l.Message.Sender.DID)
		if err != nil || from == bot || l.Message.ID == "" || l.Type != "chat.bsky.convo.defs#logCreateMessage" ||
			strings.HasSuffix(l.Message.Type, "#deletedMessageView") {
			continue
		}
		out = append(out, ChatMessage{ID: l.Message.ID, Convo: l.ConvoID, From: from, Text: l.Message.Text, At: eventTime(l.Message.SentAt)})
	}
	return out, page.Cursor, nil
}
