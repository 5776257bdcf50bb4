package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"footbridge/atproto/atprototest"
	"footbridge/bridge/bridgetest/oracle"
)

const (
	asNS   = "https://www.w3.org/ns/activitystreams"
	public = asNS + "#Public"
)

// Drive lets every author do their part of the workload, each in order, all at once, and returns when every act was
// accepted. pace is the pause between the acts of one author.
func (r *Rig) Drive(ctx context.Context, acts []oracle.Act, pace time.Duration) error {
	return newDriver(r).drive(ctx, acts, pace)
}

func newDriver(r *Rig) *driver {
	return &driver{r: r, refs: map[string]atprototest.Ref{}, sent: map[string]map[string]any{}, bodies: map[string]map[string]any{}}
}

func (d *driver) drive(ctx context.Context, acts []oracle.Act, pace time.Duration) error {
	lines := map[string][]oracle.Act{}
	var names []string
	for _, a := range acts {
		if lines[a.Author] == nil {
			names = append(names, a.Author)
		}
		lines[a.Author] = append(lines[a.Author], a)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		group.Go(func() error { return d.line(ctx, lines[name], pace) })
	}
	return group.Wait()
}

// driver does acts.
type driver struct {
	r *Rig
	// after is told of every act that was done.
	after func(context.Context, oracle.Act)

	mu     sync.Mutex
	refs   map[string]atprototest.Ref
	sent   map[string]map[string]any // likes and boosts of the fediverse
	bodies map[string]map[string]any // notes of the fediverse
}

func (d *driver) line(ctx context.Context, acts []oracle.Act, pace time.Duration) error {
	for _, a := range acts {
		if err := d.do(ctx, a); err != nil {
			return fmt.Errorf("%s: %s %s: %w", a.Author, a.Verb, a.Item, err)
		}
		if d.after != nil {
			d.after(ctx, a)
		}
		if a.Burst {
			continue
		}
		select {
		case <-time.After(pace):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// do does one act and notes that it was done. What was sent is known to the oracle before it can be seen.
func (d *driver) do(ctx context.Context, a oracle.Act) error {
	p := d.r.people[a.Author]
	if p == nil {
		return errors.New("nobody of that name")
	}
	if p.side == oracle.Fediverse {
		if a.Verb == oracle.Post {
			a.ID = statusID(p, a.Item)
		}
		n := d.note(a)
		err := d.fediverse(ctx, p, a)
		d.stamp(n)
		return err
	}
	return d.atmosphere(ctx, p, a)
}

func (d *driver) note(a oracle.Act) int {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	a.At = time.Now()
	d.r.acts = append(d.r.acts, a)
	return len(d.r.acts) - 1
}

func (d *driver) stamp(n int) {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	d.r.acts[n].At = time.Now()
}

func (d *driver) id(n int, id string) {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	d.r.acts[n].ID = id
}

func statusID(p *person, item string) string { return p.fedi.ID + "/statuses/" + item }

// copyNote and copyPost wait for the copy of an item on the actor's own network.
func (d *driver) copyNote(ctx context.Context, item string) (n note, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return n, until(ctx, func(context.Context) error {
		d.r.look()
		d.r.mu.Lock()
		defer d.r.mu.Unlock()
		var ok bool
		if n, ok = d.r.index.notes[item]; !ok {
			return fmt.Errorf("%s did not arrive on the fediverse", item)
		}
		return nil
	})
}

func (d *driver) copyPost(ctx context.Context, item string) (ref atprototest.Ref, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return ref, until(ctx, func(context.Context) error {
		d.r.look()
		d.r.mu.Lock()
		defer d.r.mu.Unlock()
		var ok bool
		if ref, ok = d.r.index.posts[item]; !ok {
			return fmt.Errorf("%s did not arrive on the ATmosphere", item)
		}
		return nil
	})
}

// atmosphere does an act of somebody of the ATmosphere: their PDS has it at once.
func (d *driver) atmosphere(ctx context.Context, p *person, a oracle.Act) error {
	at := d.r.World.AT
	var parent atprototest.Ref
	if a.Of != "" && a.Verb != oracle.Undo {
		var err error
		if parent, err = d.copyPost(ctx, a.Of); err != nil {
			return err
		}
	}
	n := d.note(a)
	var ref atprototest.Ref
	var err error
	switch a.Verb {
	case oracle.Post:
		if parent.URI != "" {
			ref, err = at.Reply(p.at, a.Text, parent, parent)
		} else {
			ref, err = at.Post(p.at, a.Text, nil)
		}
		d.id(n, ref.URI)
	case oracle.Like:
		ref, err = at.Like(p.at, parent)
	case oracle.Boost:
		ref, err = at.Repost(p.at, parent)
	case oracle.Delete, oracle.Undo:
		d.mu.Lock()
		ref = d.refs[a.Item]
		d.mu.Unlock()
		return at.Delete(ref)
	case oracle.Withdraw:
		_, err = at.Block(p.at, d.r.bot.did)
	default:
		return fmt.Errorf("cannot %s", a.Verb)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refs[a.Item] = ref
	return err
}

// fediverse does an act of somebody of the fediverse and returns when the bridge has accepted it.
func (d *driver) fediverse(ctx context.Context, p *person, a oracle.Act) error {
	act, err := d.activity(ctx, p, a)
	if err != nil {
		return err
	}
	return d.send(ctx, p, act)
}

func (d *driver) send(ctx context.Context, p *person, act map[string]any) error {
	body, err := json.Marshal(act)
	if err != nil {
		return err
	}
	return d.r.deliver(ctx, p, body)
}

// activity writes an act as Mastodon does.
func (d *driver) activity(ctx context.Context, p *person, a oracle.Act) (map[string]any, error) {
	id := statusID(p, a.Item)
	act := map[string]any{"@context": asNS, "actor": p.fedi.ID, "to": []any{public}}
	set := func(typ, id string, object any) { act["type"], act["id"], act["object"] = typ, id, object }
	switch a.Verb {
	case oracle.Post:
		object, err := d.object(ctx, p, a)
		if err != nil {
			return nil, err
		}
		set("Create", id+"/activity", object)
		act["to"], act["cc"], act["published"] = object["to"], object["cc"], object["published"]
	case oracle.Edit:
		object := d.edited(a)
		set("Update", fmt.Sprintf("%s#updates/%d", id, a.Rev), object)
		act["to"], act["cc"] = object["to"], object["cc"]
	case oracle.Delete:
		set("Delete", id+"#delete", map[string]any{"id": id, "type": "Tombstone", "atomUri": id})
	case oracle.Like, oracle.Boost:
		n, err := d.copyNote(ctx, a.Of)
		if err != nil {
			return nil, err
		}
		d.reaction(p, a, n, set, act)
	case oracle.Undo:
		d.mu.Lock()
		before := d.sent[a.Item]
		d.mu.Unlock()
		set("Undo", fmt.Sprint(before["id"], "/undo"), before)
	case oracle.Withdraw:
		delete(act, "to")
		set("Block", p.fedi.ID+"/blocks/1", d.r.bot.actor)
	default:
		return nil, fmt.Errorf("cannot %s", a.Verb)
	}
	return act, nil
}

func (d *driver) reaction(p *person, a oracle.Act, n note, set func(string, string, any), act map[string]any) {
	if a.Verb == oracle.Like {
		delete(act, "to")
		set("Like", p.fedi.ID+"#likes/"+a.Of, n.id)
	} else {
		set("Announce", p.fedi.ID+"/boosts/"+a.Of+"/activity", n.id)
		act["cc"], act["published"] = []any{n.actor, p.fedi.ID + "/followers"}, now()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent[a.Item] = act
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

func (d *driver) object(ctx context.Context, p *person, a oracle.Act) (map[string]any, error) {
	content := "<p>" + html.EscapeString(a.Text) + "</p>"
	o := map[string]any{"id": statusID(p, a.Item), "type": "Note", "attributedTo": p.fedi.ID, "content": content, "contentMap": map[string]any{"en": content},
		"published": now(), "url": statusID(p, a.Item), "sensitive": false, "summary": nil, "tag": []any{}, "attachment": []any{},
		"to": []any{public}, "cc": []any{p.fedi.ID + "/followers"}}
	if a.Private {
		o["to"], o["cc"] = []any{p.fedi.ID + "/followers"}, []any{}
	}
	if a.Of != "" {
		parent, err := d.copyNote(ctx, a.Of)
		if err != nil {
			return nil, err
		}
		o["inReplyTo"], o["cc"] = parent.id, append(o["cc"].([]any), parent.actor)
		o["tag"] = []any{map[string]any{"type": "Mention", "href": parent.actor, "name": "@them"}}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bodies[a.Item] = o
	return o, nil
}

// edited is the note with its new text; updates of one second are told apart by the microsecond, as Pleroma writes it.
func (d *driver) edited(a oracle.Act) map[string]any {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := map[string]any{}
	for k, v := range d.bodies[a.Item] {
		o[k] = v
	}
	content := "<p>" + html.EscapeString(a.Text) + "</p>"
	o["content"], o["contentMap"], o["updated"] = content, map[string]any{"en": content}, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	d.bodies[a.Item] = o
	return o
}

// persist posts an activity until the bridge accepts it, as servers do.
func (r *Rig) persist(ctx context.Context, p *person, body []byte) error {
	return r.persistTo(ctx, p, r.bot.inbox, body)
}

func (r *Rig) persistTo(ctx context.Context, p *person, inbox string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		try, stop := context.WithTimeout(ctx, 20*time.Second)
		status, err := p.fedi.Send(try, inbox, body)
		stop()
		switch {
		case err == nil && status >= 200 && status < 300:
			return nil
		case err == nil && status >= 400 && status < 500 && status != 429 && status != 401:
			return fmt.Errorf("the bridge refused it with %d", status)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("the last answer was %d: %w", status, ctx.Err()))
		}
	}
}
