package activitypubtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"
)

func now(s *Server) string { return s.o.Now().UTC().Format(time.RFC3339) }

// activity makes an activity of the actor with a fresh id.
func (a *Actor) activity(typ string, object any) map[string]any {
	act := map[string]any{"@context": asNS, "id": a.ID + "/activities/" + a.s.id(), "type": typ, "actor": a.ID, "object": object}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[act["id"].(string)] = act
	return act
}

// deliver posts an activity to the inboxes given, each once; those that refuse are an error.
func (a *Actor) deliver(ctx context.Context, act map[string]any, inboxes ...string) error {
	body, err := json.Marshal(act)
	if err != nil {
		return fmt.Errorf("encoding an activity: %w", err)
	}
	var errs []error
	done := map[string]bool{"": true}
	for _, inbox := range inboxes {
		if !done[inbox] {
			done[inbox] = true
			errs = append(errs, a.post(ctx, inbox, body))
		}
	}
	return errors.Join(errs...)
}

func (a *Actor) post(ctx context.Context, inbox string, body []byte) error {
	send := func() error {
		status, err := a.Send(ctx, inbox, body)
		if err == nil && (status < 200 || status > 299) {
			err = fmt.Errorf("%s answered %d", inbox, status)
		}
		return err
	}
	a.s.mu.Lock()
	holding := a.s.holding
	twice := a.s.o.Duplicate > 0 && a.s.rand.Float64() < a.s.o.Duplicate
	if holding {
		a.s.held = append(a.s.held, func() error { return send() })
	}
	a.s.mu.Unlock()
	if holding {
		return nil
	}
	err := send()
	if twice {
		_ = send() // the second one may be refused as a replay
	}
	return err
}

// inboxOf looks an actor up and gives the inbox for things meant for them alone.
func (a *Actor) inboxOf(ctx context.Context, actor string) (string, error) {
	if local := a.s.byID(actor); local != nil {
		return actor + "/inbox", nil
	}
	doc, err := a.Get(ctx, actor)
	if err != nil {
		return "", err
	}
	inbox, _ := doc["inbox"].(string)
	return inbox, nil
}

// sharedInboxOf prefers the shared one.
func (a *Actor) sharedInboxOf(ctx context.Context, actor string) (string, error) {
	doc, err := a.Get(ctx, actor)
	if err != nil {
		return "", err
	}
	if e, ok := doc["endpoints"].(map[string]any); ok {
		if s, ok := e["sharedInbox"].(string); ok {
			return s, nil
		}
	}
	inbox, _ := doc["inbox"].(string)
	return inbox, nil
}

// to sends one activity to one actor and returns its id.
func (a *Actor) to(ctx context.Context, target, typ string, object any, extra map[string]any) (string, error) {
	inbox, err := a.inboxOf(ctx, target)
	if err != nil {
		return "", err
	}
	act := a.activity(typ, object)
	maps.Copy(act, extra)
	return idOf(act), a.deliver(ctx, act, inbox)
}

// Follow asks to follow and returns the Follow's id.
func (a *Actor) Follow(ctx context.Context, target string) (string, error) {
	id, err := a.to(ctx, target, "Follow", target, nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[target] = id
	return id, err
}

// Unfollow undoes it.
func (a *Actor) Unfollow(ctx context.Context, target string) error {
	a.mu.Lock()
	follow := a.sent[a.asked[target]]
	delete(a.following, target)
	a.mu.Unlock()
	_, err := a.to(ctx, target, "Undo", follow, nil)
	return err
}

// AcceptFollow answers a waiting Follow; RejectFollow too.
func (a *Actor) AcceptFollow(ctx context.Context, from string) error {
	return a.answer(ctx, from, "Accept")
}

// RejectFollow refuses a waiting Follow, or removes a follower.
func (a *Actor) RejectFollow(ctx context.Context, from string) error {
	a.lose(from)
	return a.answer(ctx, from, "Reject")
}

func (a *Actor) answer(ctx context.Context, from, typ string) error {
	inbox, err := a.sharedInboxOf(ctx, from)
	if err != nil {
		return err
	}
	a.mu.Lock()
	follow := a.pending[from]
	if follow == nil {
		follow = map[string]any{"type": "Follow", "actor": from, "object": a.ID}
	}
	if typ == "Accept" {
		a.followers[from] = inbox
		delete(a.pending, from)
	}
	a.mu.Unlock()
	_, err = a.to(ctx, from, typ, follow, nil)
	return err
}

// author finds who wrote an object.
func (a *Actor) author(ctx context.Context, object string) (string, error) {
	doc, err := a.Get(ctx, object)
	if err != nil {
		return "", err
	}
	by := idOf(doc["attributedTo"])
	if by == "" {
		return "", fmt.Errorf("%s has no author", object)
	}
	return by, nil
}

// Like likes an object and returns the Like's id.
func (a *Actor) Like(ctx context.Context, object string) (string, error) {
	by, err := a.author(ctx, object)
	if err != nil {
		return "", err
	}
	extra := map[string]any{}
	if a.s.o.Dialect == Misskey {
		extra["content"], extra["_misskey_reaction"] = "👍", "👍"
	}
	if a.s.o.Dialect == Pleroma {
		extra["to"], extra["cc"], extra["context"] = []any{by}, []any{publicURI}, object
	}
	return a.to(ctx, by, "Like", object, extra)
}

// React sends an emoji reaction the way Pleroma does.
func (a *Actor) React(ctx context.Context, object, emoji string) (string, error) {
	by, err := a.author(ctx, object)
	if err != nil {
		return "", err
	}
	return a.to(ctx, by, "EmojiReact", object, map[string]any{"content": emoji, "to": []any{by}})
}

// Announce boosts an object to followers and its author and returns the Announce's id.
func (a *Actor) Announce(ctx context.Context, object string) (string, error) {
	by, err := a.author(ctx, object)
	if err != nil {
		return "", err
	}
	inbox, err := a.inboxOf(ctx, by)
	if err != nil {
		return "", err
	}
	act := a.activity("Announce", object)
	act["published"], act["to"], act["cc"] = now(a.s), []any{publicURI}, []any{by, a.ID + "/followers"}
	a.mu.Lock()
	a.outbox = append(a.outbox, act)
	a.mu.Unlock()
	return idOf(act), a.deliver(ctx, act, append(a.followerInboxes(), inbox)...)
}

// Undo takes back an activity of this actor by its id; to is the other party.
func (a *Actor) Undo(ctx context.Context, id, to string) error {
	a.mu.Lock()
	act := a.sent[id]
	a.mu.Unlock()
	if act == nil {
		return fmt.Errorf("%s was not sent", id)
	}
	inbox, err := a.inboxOf(ctx, to)
	if err != nil {
		return err
	}
	undo := a.activity("Undo", act)
	inboxes := []string{inbox}
	if act["type"] == "Announce" {
		undo["to"] = []any{publicURI}
		inboxes = append(inboxes, a.followerInboxes()...)
	}
	return a.deliver(ctx, undo, inboxes...)
}

// Block blocks an actor and returns the Block's id.
func (a *Actor) Block(ctx context.Context, target string) (string, error) {
	a.lose(target)
	return a.to(ctx, target, "Block", target, nil)
}

// Report sends a Flag from the instance actor.
func (a *Actor) Report(ctx context.Context, target, content string, objects ...string) (string, error) {
	list := []any{target}
	for _, o := range objects {
		list = append(list, o)
	}
	return a.s.instance().to(ctx, target, "Flag", list, map[string]any{"content": content})
}

// Move tells followers that the actor lives elsewhere now.
func (a *Actor) Move(ctx context.Context, target string) error {
	a.mu.Lock()
	a.movedTo = target
	a.mu.Unlock()
	act := a.activity("Move", a.ID)
	act["target"], act["to"] = target, []any{a.ID + "/followers"}
	return a.deliver(ctx, act, a.followerInboxes()...)
}

// SetAlias sets alsoKnownAs.
func (a *Actor) SetAlias(ids ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.o.AlsoKnownAs = ids
}

// UpdateProfile changes name and biography and tells followers.
func (a *Actor) UpdateProfile(ctx context.Context, display, summary string, extra map[string]any) error {
	a.mu.Lock()
	a.o.Display, a.o.Summary = display, summary
	if extra != nil {
		a.o.Extra = extra
	}
	a.mu.Unlock()
	doc := a.Document()
	delete(doc, "@context")
	act := a.activity("Update", doc)
	act["to"] = []any{publicURI}
	return a.deliver(ctx, act, a.followerInboxes()...)
}

// DeleteAccount answers 410 from now on and tells the inboxes of followers and those given.
func (a *Actor) DeleteAccount(ctx context.Context, more ...string) error {
	act := a.activity("Delete", a.ID)
	act["to"] = []any{publicURI}
	a.s.mu.Lock()
	a.s.gone[a.ID] = true
	a.s.mu.Unlock()
	return a.deliver(ctx, act, append(a.followerInboxes(), more...)...)
}

func (a *Actor) followerInboxes() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]string, 0, len(a.followers))
	for _, inbox := range a.followers {
		out = append(out, inbox)
	}
	return out
}

// AnnounceActivity passes an activity on to followers and the inboxes given, embedded as groups do it (FEP-1b12).
func (a *Actor) AnnounceActivity(ctx context.Context, activity map[string]any, more ...string) (string, error) {
	inner := maps.Clone(activity)
	delete(inner, "@context")
	act := a.activity("Announce", inner)
	act["to"], act["cc"] = []any{publicURI}, []any{a.ID + "/followers"}
	return idOf(act), a.deliver(ctx, act, append(a.followerInboxes(), more...)...)
}

// Request asks for an interaction (QuoteRequest and its like) with an object of somebody.
func (a *Actor) Request(ctx context.Context, typ, object string, instrument any) (string, error) {
	by, err := a.author(ctx, object)
	if err != nil {
		return "", err
	}
	return a.to(ctx, by, typ, object, map[string]any{"instrument": instrument})
}

// Pin puts a post into the featured collection and tells followers.
func (a *Actor) Pin(ctx context.Context, object string) error {
	act := a.activity("Add", object)
	act["target"] = a.ID + "/collections/featured"
	a.mu.Lock()
	a.featured = append(a.featured, object)
	a.mu.Unlock()
	return a.deliver(ctx, act, a.followerInboxes()...)
}
