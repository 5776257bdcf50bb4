package atprototest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rivo/uniseg"
)

// ChatDID is the service DID that tokens for the chat service must name.
const ChatDID = "did:web:api.bsky.chat"

// Chat is a chat service as chat.bsky.convo describes it. It takes service-auth tokens signed by the account's key, each
// once, for one method, and of short life.
type Chat struct {
	server
	ids  *idents
	now  func() time.Time
	note func()

	mu     sync.Mutex
	convos map[string]*convo
	log    []chatLog
	jtis   map[string]bool
	next   int
	// closed lists who takes no messages, following who takes them only from people that they follow.
	closed map[string]bool
}

type convo struct {
	id      string
	members []string
	rev     int
	msgs    []ChatMessage
	read    map[string]string
}

// ChatMessage is one message.
type ChatMessage struct {
	ID, Rev, Text, From string
	SentAt              time.Time
}

type chatLog struct {
	rev     int
	kind    string
	convo   *convo
	message ChatMessage
}

func (c *Chat) start(addr string, ids *idents, now func() time.Time, note func()) error {
	c.ids, c.now, c.note = ids, now, note
	c.convos, c.jtis, c.closed = map[string]*convo{}, map[string]bool{}, map[string]bool{}
	return c.listen(addr, methods{
		"chat.bsky.convo.getConvoForMembers": c.authed(c.getConvoForMembers),
		"chat.bsky.convo.getConvo":           c.authed(c.getConvo),
		"chat.bsky.convo.listConvos":         c.authed(c.listConvos),
		"chat.bsky.convo.getMessages":        c.authed(c.getMessages),
		"chat.bsky.convo.sendMessage":        c.authed(c.sendMessage),
		"chat.bsky.convo.getLog":             c.authed(c.getLog),
		"chat.bsky.convo.updateRead":         c.authed(c.updateRead),
		"chat.bsky.convo.acceptConvo":        c.authed(c.acceptConvo),
	})
}

// authed checks the token and passes the caller's DID on, under the lock.
func (c *Chat) authed(f func(did string, r *http.Request) (any, error)) func(http.ResponseWriter, *http.Request) (any, error) {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) {
		did, err := c.authenticate(r)
		if err != nil {
			return nil, &fault{http.StatusUnauthorized, "BadJwt", err.Error()}
		}
		c.mu.Lock()
		out, err := f(did, r)
		c.mu.Unlock()
		c.note()
		return out, err
	}
}

type claims struct {
	Iss, Aud, Lxm, Jti string
	Exp, Iat           int64
}

func (c *Chat) authenticate(r *http.Request) (string, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", fmt.Errorf("no bearer token")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("not a JWT")
	}
	var head struct{ Alg string }
	var cl claims
	if err := decodePart(parts[0], &head); err != nil {
		return "", err
	}
	if err := decodePart(parts[1], &cl); err != nil {
		return "", err
	}
	if err := c.checkClaims(head.Alg, cl, strings.TrimPrefix(r.URL.Path, "/xrpc/")); err != nil {
		return "", err
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", err
	}
	for try := 0; ; try++ {
		key, err := c.ids.key(r.Context(), cl.Iss)
		if err != nil {
			return "", err
		}
		if err = key.HashAndVerify([]byte(parts[0]+"."+parts[1]), sig); err == nil {
			return cl.Iss, c.once(cl.Jti)
		}
		if try > 0 {
			return "", fmt.Errorf("signature: %w", err)
		}
		c.ids.forget(cl.Iss)
	}
}

func decodePart(part string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func (c *Chat) checkClaims(alg string, cl claims, method string) error {
	now := c.now().Unix()
	switch {
	case alg != "ES256K" && alg != "ES256":
		return fmt.Errorf("alg %q", alg)
	case cl.Aud != ChatDID && cl.Aud != ChatDID+"#bsky_chat":
		return fmt.Errorf("aud %q", cl.Aud)
	case cl.Lxm != method:
		return fmt.Errorf("lxm %q, called %q", cl.Lxm, method)
	case cl.Exp <= now || cl.Exp > now+300:
		return fmt.Errorf("expired, or lives longer than 5 minutes")
	}
	return nil
}

func (c *Chat) once(jti string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if jti == "" || c.jtis[jti] {
		return fmt.Errorf("jti missing or replayed")
	}
	c.jtis[jti] = true
	return nil
}

// CloseFor makes an account take no messages.
func (c *Chat) CloseFor(did string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed[did] = true
}

// convo finds or makes the conversation of members; the caller holds the lock.
func (c *Chat) convo(members []string) *convo {
	members = slices.Compact(slices.Sorted(slices.Values(members)))
	key := strings.Join(members, " ")
	v, ok := c.convos[key]
	if !ok {
		c.next++
		v = &convo{id: "convo" + strconv.Itoa(c.next), members: members, read: map[string]string{}}
		c.convos[key] = v
		c.append("chat.bsky.convo.defs#logBeginConvo", v, ChatMessage{})
	}
	return v
}

func (c *Chat) append(kind string, v *convo, m ChatMessage) int {
	rev := len(c.log) + 1
	v.rev = rev
	m.Rev = revText(rev)
	c.log = append(c.log, chatLog{rev, kind, v, m})
	return rev
}

func revText(n int) string { return fmt.Sprintf("%013d", n) }

func (c *Chat) byID(did, id string) (*convo, error) {
	for _, v := range c.convos {
		if v.id == id && slices.Contains(v.members, did) {
			return v, nil
		}
	}
	return nil, badRequest("Convo not found")
}

func (c *Chat) view(v *convo, did string) map[string]any {
	members := []any{}
	for _, m := range v.members {
		members = append(members, map[string]any{"did": m, "handle": "handle.invalid"})
	}
	unread := 0
	out := map[string]any{"id": v.id, "rev": revText(v.rev), "members": members, "muted": false, "status": "accepted"}
	for _, m := range v.msgs {
		if m.From != did && m.Rev > v.read[did] {
			unread++
		}
		out["lastMessage"] = messageView(m)
	}
	out["unreadCount"] = unread
	return out
}

func messageView(m ChatMessage) map[string]any {
	return map[string]any{
		"$type": "chat.bsky.convo.defs#messageView", "id": m.ID, "rev": m.Rev, "text": m.Text,
		"sender": map[string]any{"did": m.From}, "sentAt": now8601(m.SentAt),
	}
}

func (c *Chat) getConvoForMembers(did string, r *http.Request) (any, error) {
	members := append(r.URL.Query()["members"], did)
	if len(members) > 10 {
		return nil, badRequest("too many members")
	}
	for _, m := range members {
		if m != did && c.closed[m] {
			return nil, badRequest("recipient has disabled incoming messages")
		}
	}
	return map[string]any{"convo": c.view(c.convo(members), did)}, nil
}

func (c *Chat) getConvo(did string, r *http.Request) (any, error) {
	v, err := c.byID(did, r.URL.Query().Get("convoId"))
	if err != nil {
		return nil, err
	}
	return map[string]any{"convo": c.view(v, did)}, nil
}

func (c *Chat) listConvos(did string, _ *http.Request) (any, error) {
	var mine []*convo
	for _, v := range c.convos {
		if slices.Contains(v.members, did) {
			mine = append(mine, v)
		}
	}
	slices.SortFunc(mine, func(a, b *convo) int { return b.rev - a.rev })
	list := []any{}
	for _, v := range mine {
		list = append(list, c.view(v, did))
	}
	return map[string]any{"convos": list}, nil
}

func (c *Chat) getMessages(did string, r *http.Request) (any, error) {
	v, err := c.byID(did, r.URL.Query().Get("convoId"))
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, m := range slices.Backward(v.msgs) {
		list = append(list, messageView(m))
	}
	return map[string]any{"messages": list}, nil
}

func (c *Chat) sendMessage(did string, r *http.Request) (any, error) {
	var in struct {
		ConvoID string
		Message struct{ Text string }
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	v, err := c.byID(did, in.ConvoID)
	if err != nil {
		return nil, err
	}
	return c.say(v, did, in.Message.Text)
}

func (c *Chat) say(v *convo, from, text string) (any, error) {
	if n := uniseg.GraphemeClusterCount(text); n == 0 || n > 1000 || len(text) > 10000 {
		return nil, badRequest("message of %d graphemes", n)
	}
	m := ChatMessage{Text: text, From: from, SentAt: c.now()}
	c.next++
	m.ID = "msg" + strconv.Itoa(c.next)
	m.Rev = revText(c.append("chat.bsky.convo.defs#logCreateMessage", v, m))
	v.msgs = append(v.msgs, m)
	return messageView(m), nil
}

func (c *Chat) getLog(did string, r *http.Request) (any, error) {
	cursor := r.URL.Query().Get("cursor")
	logs := []any{}
	last := cursor
	for _, l := range c.log {
		if rev := revText(l.rev); rev > cursor && slices.Contains(l.convo.members, did) {
			entry := map[string]any{"$type": l.kind, "rev": rev, "convoId": l.convo.id}
			if l.message.ID != "" {
				entry["message"] = messageView(l.message)
			}
			logs = append(logs, entry)
			last = rev
		}
	}
	return map[string]any{"cursor": last, "logs": logs}, nil
}

func (c *Chat) updateRead(did string, r *http.Request) (any, error) {
	var in struct{ ConvoID, MessageID string }
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	v, err := c.byID(did, in.ConvoID)
	if err != nil {
		return nil, err
	}
	for _, m := range v.msgs {
		if in.MessageID == "" || m.ID == in.MessageID {
			v.read[did] = m.Rev
		}
	}
	return map[string]any{"convo": c.view(v, did)}, nil
}

func (c *Chat) acceptConvo(did string, r *http.Request) (any, error) {
	var in struct{ ConvoID string }
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	if _, err := c.byID(did, in.ConvoID); err != nil {
		return nil, err
	}
	return map[string]any{}, nil
}

// Send lets a person write to another, as their app would.
func (c *Chat) Send(from, to, text string) error {
	c.mu.Lock()
	_, err := c.say(c.convo([]string{from, to}), from, text)
	c.mu.Unlock()
	c.note()
	return err
}

// Messages lists what two accounts wrote to each other, oldest first.
func (c *Chat) Messages(a, b string) []ChatMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := strings.Join(slices.Sorted(slices.Values([]string{a, b})), " ")
	if v, ok := c.convos[key]; ok {
		return slices.Clone(v.msgs)
	}
	return nil
}
