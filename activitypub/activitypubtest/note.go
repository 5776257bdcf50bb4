package activitypubtest

import (
	"context"
	"maps"
)

// Visibility is who may read a post.
type Visibility string

// The four of Mastodon.
const (
	Public    Visibility = "public"
	Unlisted  Visibility = "unlisted"
	Followers Visibility = "private"
	Direct    Visibility = "direct"
)

// Attachment is a file of a post.
type Attachment struct {
	// URL may come from Server.AddMedia.
	URL, Mime, Alt string
	Width, Height  int
}

// Note is what to post.
type Note struct {
	// Content is HTML.
	Content string
	// Type is Note if empty; Title is for Article, Page, Video and Event.
	Type, Title string
	// Summary is a content warning.
	Summary   string
	Sensitive bool
	// Language is a BCP 47 tag, en if empty.
	Language string
	// InReplyTo is the id of the parent, Quote of a quoted post.
	InReplyTo, Quote string
	Visibility       Visibility
	// Mentions are actor ids; they get the post.
	Mentions []string
	// Tags are hashtags without #.
	Tags        []string
	Attachments []Attachment
	// Options make it a poll.
	Options []string
	// To adds recipients (inboxes) that would not get it otherwise.
	To []string
	// Extra is merged into the object last.
	Extra map[string]any
}

// Posted is a post that was sent.
type Posted struct {
	ID, Activity string
	Object       map[string]any
	Create       map[string]any
}

// Post publishes and delivers to followers, to those mentioned, and to the author of the parent.
func (a *Actor) Post(ctx context.Context, n Note) (Posted, error) {
	p, inboxes, err := a.compose(ctx, n)
	if err != nil {
		return p, err
	}
	return p, a.deliver(ctx, p.Create, append(inboxes, n.To...)...)
}

func (a *Actor) compose(ctx context.Context, n Note) (Posted, []string, error) {
	object := a.object(n)
	var inboxes []string
	if n.Visibility != Direct {
		inboxes = a.followerInboxes()
	}
	mentions := n.Mentions
	if n.InReplyTo != "" {
		by, err := a.author(ctx, n.InReplyTo)
		if err != nil {
			return Posted{}, nil, err
		}
		mentions = append([]string{by}, mentions...)
	}
	tags, _ := object["tag"].([]any)
	cc, _ := object["cc"].([]any)
	to, _ := object["to"].([]any)
	for _, m := range mentions {
		inbox, err := a.inboxOf(ctx, m)
		if err != nil {
			return Posted{}, nil, err
		}
		inboxes = append(inboxes, inbox)
		tags = append(tags, map[string]any{"type": "Mention", "href": m, "name": "@" + m})
		if n.Visibility == Direct {
			to = append(to, m)
		} else {
			cc = append(cc, m)
		}
	}
	object["tag"], object["cc"], object["to"] = tags, cc, to
	a.s.o.Dialect.decorate(object, n)
	maps.Copy(object, n.Extra)
	create := a.activity("Create", object)
	create["published"], create["to"], create["cc"] = object["published"], to, cc
	create["@context"], create["id"] = noteContext(), idOf(object)+"/activity"
	a.publish(object, create)
	return Posted{ID: idOf(object), Activity: idOf(create), Object: object, Create: create}, inboxes, nil
}

func noteContext() []any {
	return []any{asNS, map[string]any{"ostatus": "http://ostatus.org#", "atomUri": "ostatus:atomUri", "inReplyToAtomUri": "ostatus:inReplyToAtomUri",
		"conversation": "ostatus:conversation", "sensitive": "as:sensitive", "toot": "http://joinmastodon.org/ns#", "votersCount": "toot:votersCount",
		"Hashtag": "as:Hashtag"}}
}

// publish makes the object and its Create fetchable.
func (a *Actor) publish(object, create map[string]any) {
	served := maps.Clone(object)
	served["@context"] = noteContext()
	a.s.mu.Lock()
	a.s.objects[idOf(object)] = served
	a.s.objects[idOf(create)] = create
	a.s.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[idOf(create)] = create
	a.outbox = append(a.outbox, create)
}

func (a *Actor) object(n Note) map[string]any {
	id := a.ID + "/statuses/" + a.s.id()
	lang := n.Language
	if lang == "" {
		lang = "en"
	}
	typ := n.Type
	if typ == "" {
		typ = "Note"
	}
	if len(n.Options) > 0 {
		typ = "Question"
	}
	o := map[string]any{"id": id, "type": typ, "attributedTo": a.ID, "content": n.Content, "contentMap": map[string]any{lang: n.Content},
		"published": now(a.s), "url": id, "sensitive": n.Sensitive, "tag": a.tags(n), "attachment": a.attachments(n)}
	o["to"], o["cc"] = a.audience(n.Visibility)
	set := func(key, value string) {
		if value != "" {
			o[key] = value
		}
	}
	set("name", n.Title)
	set("summary", n.Summary)
	set("inReplyTo", n.InReplyTo)
	set("quote", n.Quote)
	if len(n.Options) > 0 {
		var options []any
		for _, name := range n.Options {
			options = append(options, map[string]any{"type": "Note", "name": name, "replies": map[string]any{"type": "Collection", "totalItems": 0}})
		}
		o["oneOf"], o["endTime"] = options, a.s.o.Now().AddDate(0, 0, 1).UTC().Format("2006-01-02T15:04:05Z")
	}
	return o
}

func (a *Actor) audience(v Visibility) (to, cc []any) {
	switch v {
	case Unlisted:
		return []any{a.ID + "/followers"}, []any{publicURI}
	case Followers:
		return []any{a.ID + "/followers"}, []any{}
	case Direct:
		return []any{}, []any{}
	default:
		return []any{publicURI}, []any{a.ID + "/followers"}
	}
}

func (a *Actor) tags(n Note) []any {
	out := []any{}
	for _, t := range n.Tags {
		out = append(out, map[string]any{"type": "Hashtag", "name": "#" + t, "href": a.s.origin + "/tags/" + t})
	}
	return out
}

func (a *Actor) attachments(n Note) []any {
	typ := "Document"
	if a.s.o.Dialect == GoToSocial {
		typ = "Image"
	}
	out := []any{}
	for _, f := range n.Attachments {
		m := map[string]any{"type": typ, "mediaType": f.Mime, "url": f.URL, "name": f.Alt}
		if f.Width > 0 {
			m["width"], m["height"] = f.Width, f.Height
		}
		out = append(out, m)
	}
	return out
}

// Edit changes the content of a post and tells everybody who may have it.
func (a *Actor) Edit(ctx context.Context, id, content string, more ...string) error {
	a.s.mu.Lock()
	object := maps.Clone(a.s.objects[id])
	a.s.mu.Unlock()
	object["content"], object["contentMap"], object["updated"] = content, map[string]any{"en": content}, now(a.s)
	a.s.mu.Lock()
	a.s.objects[id] = maps.Clone(object)
	a.s.mu.Unlock()
	delete(object, "@context")
	act := a.activity("Update", object)
	act["@context"], act["to"], act["cc"], act["id"] = noteContext(), object["to"], object["cc"], id+"#updates/"+a.s.id()
	return a.deliver(ctx, act, append(a.followerInboxes(), more...)...)
}

// Delete removes a post: 410 from now on, and a Delete to followers and the inboxes given.
func (a *Actor) Delete(ctx context.Context, id string, more ...string) error {
	a.s.mu.Lock()
	a.s.gone[id] = true
	delete(a.s.objects, id)
	a.s.mu.Unlock()
	act := a.activity("Delete", map[string]any{"id": id, "type": "Tombstone", "atomUri": id})
	act["to"], act["id"] = []any{publicURI}, id+"#delete"
	return a.deliver(ctx, act, append(a.followerInboxes(), more...)...)
}

// Vote answers a poll of somebody.
func (a *Actor) Vote(ctx context.Context, poll, option string) error {
	by, err := a.author(ctx, poll)
	if err != nil {
		return err
	}
	inbox, err := a.inboxOf(ctx, by)
	if err != nil {
		return err
	}
	id := a.ID + "#votes/" + a.s.id()
	create := a.activity("Create", map[string]any{"id": id, "type": "Note", "name": option, "attributedTo": a.ID, "to": []any{by}, "cc": []any{}, "inReplyTo": poll})
	create["to"], create["cc"] = []any{by}, []any{}
	return a.deliver(ctx, create, inbox)
}
