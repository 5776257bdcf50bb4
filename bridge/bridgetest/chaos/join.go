package chaos

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"footbridge/activitypub/activitypubtest"
	"footbridge/bridge/bridgetest"
	"footbridge/bridge/bridgetest/oracle"
)

// populate makes the people of the workload and lets the authors join.
func (r *Rig) populate(ctx context.Context) error {
	if err := r.meetBot(ctx); err != nil {
		return err
	}
	for _, side := range []oracle.Side{oracle.Fediverse, oracle.ATmosphere} {
		for i := range r.Size.Authors {
			if err := r.add(oracle.Author(side, i), side); err != nil {
				return err
			}
		}
		for i := range r.Size.Strangers {
			if err := r.add(oracle.Stranger(side, i), side); err != nil {
				return err
			}
		}
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, p := range r.people {
		if strings.HasPrefix(p.name, "fay") || strings.HasPrefix(p.name, "bo") {
			group.Go(func() error { return r.join(inner, p) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return r.addReaders(ctx)
}

func (r *Rig) meetBot(ctx context.Context) error {
	var doc struct {
		Bot     struct{ Actor, DID string }
		Consent struct{ Collection string }
	}
	err := bridgetest.Eventually(ctx, "the bridge's own accounts", func(ctx context.Context) error {
		if err := r.get(ctx, r.World.URL+"/.well-known/footbridge.json", &doc); err != nil {
			return err
		}
		if doc.Bot.DID == "" {
			return errors.New("the bot has no DID yet")
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.bot.actor, r.bot.did, r.bot.collection = doc.Bot.Actor, doc.Bot.DID, doc.Consent.Collection
	var actor struct{ Endpoints struct{ SharedInbox string } }
	if err := r.get(ctx, r.bot.actor, &actor); err != nil {
		return err
	}
	r.bot.inbox = actor.Endpoints.SharedInbox
	if r.bot.inbox == "" {
		return errors.New("the bridge has no shared inbox")
	}
	return nil
}

func (r *Rig) add(name string, side oracle.Side) (err error) {
	p := &person{name: name, side: side}
	if side == oracle.Fediverse {
		p.server = r.fedis[len(r.people)%len(r.fedis)]
		p.fedi, err = p.server.NewActor(activitypubtest.ActorOptions{Name: name, Display: name, Summary: "<p>" + name + "</p>"})
	} else {
		p.at, err = r.World.AT.CreateAccount(name)
	}
	r.people[name] = p
	return err
}

func (r *Rig) join(ctx context.Context, p *person) error {
	join := r.joinAT
	if p.side == oracle.Fediverse {
		join = r.joinFediverse
	}
	if err := join(ctx, p); err != nil {
		return fmt.Errorf("%s joins: %w", p.name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index.copies[p.copy] = p.name
	return nil
}

var (
	code   = regexp.MustCompile(`yes all ([0-9A-Z]+)`)
	handle = regexp.MustCompile(`@([a-z0-9.-]+\.` + regexp.QuoteMeta(bridgetest.Zone) + `)`)
)

// joinPatience is long: many join at once.
const joinPatience = 90 * time.Second

func (r *Rig) joinFediverse(ctx context.Context, p *person) error {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	if err := r.askToJoin(ctx, p); err != nil {
		return err
	}
	receipt, err := r.message(ctx, p, "."+bridgetest.Zone)
	if err != nil {
		return err
	}
	name := handle.FindStringSubmatch(receipt)
	if name == nil {
		return errors.New("the receipt names no handle")
	}
	return until(ctx, func(ctx context.Context) error {
		profile, err := r.view.Profile(ctx, name[1])
		p.copy = profile.DID
		return err
	})
}

// askToJoin follows the bot, reads the notice and says yes to all.
func (r *Rig) askToJoin(ctx context.Context, p *person) error {
	if _, err := p.fedi.Follow(ctx, r.bot.actor); err != nil {
		return err
	}
	notice, err := r.message(ctx, p, "yes all ")
	if err != nil {
		return err
	}
	found := code.FindStringSubmatch(notice)
	if found == nil {
		return errors.New("the notice has no code")
	}
	_, err = p.fedi.Post(ctx, activitypubtest.Note{Content: "<p>yes all " + found[1] + "</p>", Visibility: activitypubtest.Direct, Mentions: []string{r.bot.actor}})
	return err
}

func (r *Rig) message(ctx context.Context, p *person, piece string) (string, error) {
	got, err := p.server.Wait(ctx, func(got activitypubtest.Received) bool {
		return got.Type == "Create" && got.Actor == r.bot.actor && strings.Contains(string(got.Raw), `"`+p.fedi.ID+`"`) && strings.Contains(string(got.Raw), piece)
	})
	return string(got.Raw), err
}

func (r *Rig) joinAT(ctx context.Context, p *person) error {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	if err := r.sayYes(ctx, p); err != nil {
		return err
	}
	host := strings.TrimPrefix(r.World.URL, "http://")
	return until(ctx, func(ctx context.Context) error {
		var finger struct{ Links []struct{ Rel, Href string } }
		if err := r.get(ctx, r.World.URL+"/.well-known/webfinger?resource=acct:"+p.at.Handle+"@"+host, &finger); err != nil {
			return err
		}
		for _, l := range finger.Links {
			if l.Rel == "self" {
				p.copy = l.Href
			}
		}
		if p.copy == "" {
			return errors.New("no actor")
		}
		return nil
	})
}

func (r *Rig) sayYes(ctx context.Context, p *person) error {
	if _, err := r.World.AT.Follow(p.at, r.bot.did); err != nil {
		return err
	}
	var notice struct{ SHA256 string }
	if err := r.get(ctx, r.World.URL+"/join/at.json", &notice); err != nil {
		return err
	}
	_, err := p.at.PDS().Put(p.at, r.bot.collection, "self", map[string]any{"answer": "yes all", "text": notice.SHA256, "createdAt": stamp()})
	return err
}

func stamp() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

// addReaders puts one follower of every author of the ATmosphere on each server.
func (r *Rig) addReaders(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, s := range r.fedis {
		reader, err := s.NewActor(activitypubtest.ActorOptions{Name: fmt.Sprintf("reader%d", i)})
		if err != nil {
			return err
		}
		r.readers = append(r.readers, reader)
		for _, p := range r.people {
			if p.side == oracle.ATmosphere && p.copy != "" {
				group.Go(func() error { return r.follow(inner, reader, p) })
			}
		}
	}
	return group.Wait()
}

func (r *Rig) follow(ctx context.Context, reader *activitypubtest.Actor, p *person) error {
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	if _, err := reader.Follow(ctx, p.copy); err != nil {
		return fmt.Errorf("a reader follows %s: %w", p.name, err)
	}
	return until(ctx, func(context.Context) error {
		if slices.Contains(reader.Following(), p.copy) {
			return nil
		}
		return fmt.Errorf("the follow of %s was not accepted", p.name)
	})
}

// until repeats a check until it holds or the context ends.
func until(ctx context.Context, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(25 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}
