package translate

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode"
)

// ActorDocument is the actor of an AT native, without keys, which package activitypub adds. A missing profile record
// gives an actor that has only its handle.
func ActorDocument(profile json.RawMessage, did, handle string, c *Context) (map[string]any, []Loss, error) {
	if !isDID(did) {
		return nil, nil, errors.New("actor document for something that is not a DID")
	}
	j := newATJob(Event{DID: did, Handle: handle, URI: "at://" + did + "/" + nsidProfile + "/self"}, c)
	return j.actorDocument(decodeRecord(profile)), j.losses, nil
}

// profile carries a change of the profile as an Update of the actor, and of the pinned post as Add and Remove.
func (j *atJob) profile(rkey string) ([]map[string]any, DropReason) {
	if rkey != "self" {
		return nil, DropMalformed
	}
	rec := decodeRecord(j.ev.Record)
	if j.ev.Action == "delete" {
		if _, _, joined := j.actor(j.ev.DID); !joined {
			return nil, DropAuthorNotJoined
		}
		rec = nil
	}
	if isOtherBridge(rec) {
		return nil, DropLoop
	}
	doc := j.actorDocument(rec)
	context := doc["@context"]
	delete(doc, "@context")
	doc["updated"] = formatDate(j.c.Now)
	me := j.me()
	update := map[string]any{
		"@context": context, "id": UpdateID(me, j.version("profile")), "type": "Update", "actor": me, "object": doc,
		"to": []any{Public}, "cc": []any{me + "/followers"},
	}
	return append([]map[string]any{update}, j.pins(rec)...), None
}

// pins tells of a changed pinned post, where both are known to the other side.
func (j *atJob) pins(rec lex) []map[string]any {
	before, after := decodeRecord(j.ev.Previous).ref("pinnedPost"), rec.ref("pinnedPost")
	if before == after {
		return nil
	}
	var out []map[string]any
	for _, step := range []struct{ typ, uri string }{{"Remove", before}, {"Add", after}} {
		did, _, _, _ := SplitURI(step.uri)
		id, bridged := j.object(step.uri)
		if did != j.ev.DID || !bridged {
			if step.typ == "Add" && step.uri != "" {
				j.lose(LossPinned, "")
			}
			continue
		}
		me := j.me()
		out = append(out, map[string]any{
			"@context": contextTerms(0).value(), "id": id + "#" + strings.ToLower(step.typ) + "-" + j.version("pin"), "type": step.typ,
			"actor": me, "object": id, "target": me + "/collections/featured", "to": []any{Public}, "cc": []any{me + "/followers"},
		})
	}
	return out
}

func (j *atJob) actorDocument(rec lex) map[string]any {
	me := j.me()
	handle := strings.ToLower(strings.TrimPrefix(j.ev.Handle, "@"))
	labels := rec.selfLabels()
	doc := map[string]any{
		"@context":                  termActor.value(),
		"id":                        me,
		"type":                      "Person",
		"preferredUsername":         username(handle, j.ev.DID),
		"name":                      j.displayName(rec, handle),
		"summary":                   j.bio(rec.str("description")),
		"inbox":                     me + "/inbox",
		"outbox":                    me + "/outbox",
		"followers":                 me + "/followers",
		"following":                 me + "/following",
		"featured":                  me + "/collections/featured",
		"endpoints":                 map[string]any{"sharedInbox": base(j.c.Domain) + "/inbox"},
		"url":                       j.page(me, handle),
		"alsoKnownAs":               []any{"at://" + j.ev.DID},
		"attachment":                j.fields(rec, handle),
		"manuallyApprovesFollowers": false,
		"discoverable":              j.c.Options.SearchIndexing,
		"indexable":                 j.c.Options.SearchIndexing,
		// FEP-0036: other bridges shall not bridge the bridged.
		"bridgeable": false,
	}
	doc["webfinger"] = doc["preferredUsername"].(string) + "@" + domainHost(j.c.Domain)
	if slices.Contains(labels, "bot") {
		doc["type"] = "Service"
	}
	if slices.Contains(labels, "!no-unauthenticated") {
		doc["discoverable"], doc["indexable"], doc["_misskey_requireSigninToViewContents"] = false, false, true
	}
	if t, ok := parseLexDate(rec.str("createdAt")); ok && t.Year() > 0 && !t.After(j.c.Now) {
		doc["published"] = formatDate(t)
	}
	j.picture(doc, "icon", rec, "avatar")
	j.picture(doc, "image", rec, "banner")
	return doc
}

// username is the handle, which every fediverse server takes as preferredUsername; an account without a valid handle is
// called by its DID.
func username(handle, did string) string {
	if handle == "" || handle == "handle.invalid" || !isSegment(handle, '.', '-') || len(handle) > 128 {
		return strings.Map(func(r rune) rune {
			if r == ':' || r == '%' {
				return '.'
			}
			return r
		}, did)
	}
	return handle
}

func domainHost(domain string) string {
	if _, host, found := strings.Cut(domain, "://"); found {
		return host
	}
	return domain
}

// displayName is plain text on both sides; an empty one is replaced by the handle, as everybody shows it.
func (j *atJob) displayName(rec lex, handle string) string {
	name := strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, rec.str("displayName")))
	if name == "" {
		name = username(handle, j.ev.DID)
	}
	return name
}

// page is where people see the account. Mastodon shows an actor's url only if it is on the actor's host.
func (j *atJob) page(me, handle string) string {
	if _, a, ok := j.actor(j.ev.DID); ok && a.URL != "" {
		if u, safe := safeURL(a.URL); safe && strings.HasPrefix(u, "http") {
			return u
		}
	}
	return "https://bsky.app/profile/" + username(handle, j.ev.DID)
}

func (j *atJob) picture(doc map[string]any, key string, rec lex, blobKey string) {
	b, ok := rec.blob(blobKey)
	if !ok {
		return
	}
	image := map[string]any{"type": "Image", "url": blobURL(j.c, j.ev.DID, b.cid)}
	if b.mime != "" {
		image["mediaType"] = b.mime
	}
	doc[key] = image
}

// bio shows the description with the links and mentions in it, which on the AT side are found when it is shown.
func (j *atJob) bio(text string) string {
	var w textWriter
	if hasControls(text) {
		j.lose(LossControlCharacters, "")
	}
	spans := append(j.typedLinks(text), j.typedHandles(text)...)
	w.writeText(text, j.untangle(append(spans, j.typedMentions(text)...)))
	return w.String()
}

// fields are the PropertyValues: what has no property of its own on the AP side, and where the account comes from.
func (j *atJob) fields(rec lex, handle string) []any {
	var out []any
	add := func(name, value string) {
		out = append(out, map[string]any{"type": "PropertyValue", "name": name, "value": value})
	}
	if site := strings.TrimSpace(rec.str("website")); site != "" {
		add(j.lines.website, j.website(site))
	}
	if pronouns := strings.TrimSpace(rec.str("pronouns")); pronouns != "" {
		add(j.lines.pronouns, inlineHTML(pronouns))
	}
	name := username(handle, j.ev.DID)
	add(j.lines.account, meLink("https://bsky.app/profile/"+name, "@"+name))
	add(j.lines.bridge, meLink(base(j.c.Domain)+"/", domainHost(j.c.Domain)))
	return out
}

// website is a link, or the text itself if it is no address that can be opened.
func (j *atJob) website(site string) string {
	href, ok := safeURL(site)
	if !ok && !strings.Contains(site, ":") && strings.Contains(site, ".") {
		href, ok = safeURL("https://" + site)
	}
	if !ok {
		j.lose(LossLinkScheme, site)
		return inlineHTML(site)
	}
	return meLink(href, site)
}

func inlineHTML(text string) string {
	var w textWriter
	w.plain(text)
	return w.String()
}

// meLink is a link by which the owner of a page can be verified.
func meLink(href, text string) string {
	var w textWriter
	w.link(href, ` rel="me nofollow noopener" target="_blank"`, text, "")
	return w.String()
}
