package translate

import (
	"encoding/json"
	"fmt"
	"footbridge/activitypub/as2"
	"strings"
)

// Limits of app.bsky.actor.profile.
const (
	maxName          = 64
	maxNameBytes     = 640
	maxBio           = 256
	maxBioBytes      = 2560
	maxPronouns      = 20
	maxPronounsBytes = 200
	maxProfileFields = 32
)

// ProfileRecord makes the profile of a fediverse account, for provisioning. The error is for a document that is no
// actor.
func ProfileRecord(actor json.RawMessage, c *Context) (map[string]any, []Loss, error) {
	doc, err := as2.Parse(actor)
	if err != nil {
		return nil, nil, fmt.Errorf("reading actor: %w", err)
	}
	if !isActorType(doc) {
		return nil, nil, fmt.Errorf("reading actor: %q is no type of an actor", doc.Type())
	}
	j := newAPJob(doc, c)
	j.obj, j.actorID, j.actor = doc, doc.ID(), c.Actors[doc.ID()]
	rec := j.profileRecord()
	return rec, j.out.Losses, nil
}

// profile writes the profile of the actor in j.obj.
func (j *apJob) profile(action string) {
	rec := j.profileRecord()
	uri := "at://" + j.actor.DID + "/" + nsidProfile + "/self"
	if old := j.record(uri); old != nil && !j.collecting() {
		j.keepPin(rec, old)
		if j.unchanged(uri, rec) {
			j.drop(DropUnchanged)
			return
		}
	}
	j.out.Writes = append(j.out.Writes, Write{Action: action, Collection: nsidProfile, RKey: "self", URI: uri, Record: rec, Source: j.obj.ID()})
	j.wallet(action)
}

const nsidWallet = "community.lexicon.payments.webMonetization"

// wallet carries the payment pointer of a profile (webmonetization.org, paymentpointers.org) to the record that others
// on the AT side read.
func (j *apJob) wallet(action string) {
	p := j.obj.Get("monetization").First().Ref()
	if rest, ok := strings.CutPrefix(p, "$"); ok {
		if p = "https://" + rest; !strings.Contains(rest, "/") {
			p += "/.well-known/pay"
		}
	}
	if u, ok := webURL(p); ok {
		j.out.Writes = append(j.out.Writes, Write{
			Action: action, Collection: nsidWallet, RKey: "self",
			URI: "at://" + j.actor.DID + "/" + nsidWallet + "/self", Record: map[string]any{"$type": nsidWallet, "address": u},
			Source: besideID(j.obj.ID(), nsidWallet),
		})
	}
}

// keepPin keeps what the actor's document does not tell: the pinned post and the date.
func (j *apJob) keepPin(rec map[string]any, old *as2.Value) {
	if pin := old.Get("pinnedPost"); rec["pinnedPost"] == nil && pin.IsObject() && !j.obj.Get("featured").IsObject() {
		rec["pinnedPost"] = pin.Any()
	}
	if c := old.Get("createdAt").Str(); c != "" && rec["createdAt"] == nil {
		rec["createdAt"] = c
	}
}

func (j *apJob) profileRecord() map[string]any {
	o := j.obj
	j.base = o.URL()
	j.noPictures = true
	j.readTags(o)
	rec := map[string]any{"$type": nsidProfile}
	if t, ok := o.Time("published"); ok && !t.After(j.c.Now) {
		rec["createdAt"] = formatTime(t)
	}
	j.name(rec)
	fields := j.fields()
	j.links = nil
	if p := pronouns(fields); p != "" {
		rec["pronouns"] = p
	}
	if w := j.website(fields); w != "" {
		rec["website"] = w
	}
	rec["description"] = j.bio(fields)
	j.portrait(rec, "avatar", o.Get("icon"), "avatar")
	j.portrait(rec, "banner", o.Get("image"), "banner")
	if o.Is("Service", "Application") || o.Get("bot").Bool() {
		rec["labels"] = selfLabels("bot")
	}
	j.pinned(rec)
	return rec
}

func (j *apJob) name(rec map[string]any) {
	name := oneLine(j.plain(j.obj.Text("name")).text)
	if name == "" {
		name = oneLine(j.obj.Get("preferredUsername").Str())
	}
	short, cut := cutText(name, maxName, maxNameBytes)
	if cut {
		j.lose(LossNameShortened, "")
	}
	if short != "" {
		rec["displayName"] = short
	}
}

// apField is a row of a profile's table (schema.org PropertyValue).
type apField struct {
	name string
	text rich
	used bool
}

func (j *apJob) fields() []apField {
	var out []apField
	list := j.obj.Get("attachment").List()
	for i := range list[:min(len(list), maxProfileFields)] {
		f := &list[i]
		if !f.Is("PropertyValue") {
			continue
		}
		name := oneLine(j.plain(f.Text("name")).text)
		value := j.html(f.Get("value").Str(), false)
		if name != "" || value.text != "" {
			out = append(out, apField{name: name, text: value})
		}
	}
	return out
}

// pronouns are in a field that is called so.
func pronouns(fields []apField) string {
	for i := range fields {
		f := &fields[i]
		switch strings.Trim(strings.ToLower(f.name), " :") {
		case "pronouns", "pronoun", "pronomen", "pronoms", "pronom", "pronombres", "pronombre", "pronomes", "pronome", "pronomi",
			"voornaamwoorden", "my pronouns", "pronouns/pronomen", "pronomen/pronouns", "代名詞", "人称", "they/them", "she/her", "he/him":
			if v := oneLine(f.text.text); v != "" && fits(v, maxPronouns, maxPronounsBytes) {
				f.used = true
				return v
			}
		}
	}
	return ""
}

// website is in a field that is called so, else in the first field that is nothing but an address, else the profile page.
func (j *apJob) website(fields []apField) string {
	first := ""
	for i := range fields {
		f := &fields[i]
		u := soleLink(f.text)
		if u == "" || profileLike(u) {
			continue
		}
		switch strings.Trim(strings.ToLower(f.name), " :") {
		case "website", "web", "site", "homepage", "home page", "home", "url", "www", "webseite", "site web", "sitio web", "página web",
			"sito", "sito web", "ウェブサイト", "サイト", "my website", "personal website", "🌐", "🔗", "🏠", "blog", "weblog":
			f.used = true
			return u
		}
		if first == "" {
			first = u
		}
	}
	if first != "" {
		return first
	}
	u, _ := webURL(j.originalURL())
	return u
}

func soleLink(r rich) string {
	for _, m := range r.marks {
		if m.kind == markLink {
			return m.value
		}
	}
	return ""
}

// bio is the description: the text, what fits of the fields, and the line that says where the account is from.
func (j *apJob) bio(fields []apField) string {
	from := j.origin()
	room := maxBio - graphemes(from) - 2
	bytes := maxBioBytes - len(from) - 2
	text, cut := cutText(j.html(j.obj.Text("summary"), false).text, room, bytes)
	if cut {
		j.lose(LossBioShortened, "")
	}
	sep := "\n\n"
	for _, f := range fields {
		if f.used {
			continue
		}
		line := strings.Trim(f.name+": "+fieldText(f.text), ": ")
		next := strings.TrimSpace(text + sep + line)
		if cut || !fits(next, room, bytes) {
			j.lose(LossProfileField, f.name)
			continue
		}
		text, sep = next, "\n"
	}
	return strings.TrimSpace(text + "\n\n" + from)
}

// fieldText is a field as plain text; a link whose text does not show its address is shown by its address.
func fieldText(r rich) string {
	if u := soleLink(r); u != "" && !strings.Contains(r.text, hostOf(u)) {
		return shortURL(u)
	}
	return oneLine(r.text)
}

// origin is the line that says what the account is: bridged, from where, and, if so, that its owner has moved.
func (j *apJob) origin() string {
	line := "🌉 " + j.lines.bridgedFrom + " " + j.originalURL()
	if moved := j.obj.RefOf("movedTo"); moved != "" {
		j.lose(LossMoved, "")
		to := moved
		if a, ok := j.person(moved); ok && a.Acct != "" {
			to = "@" + a.Acct
		}
		line = "➡️ " + j.lines.movedTo + " " + to + "\n" + line
	}
	if !fits(line, maxBio, maxBioBytes) {
		line = "🌉 " + j.lines.bridgedFrom + " " + hostOf(j.originalURL())
	}
	return line
}

// portrait sets a picture; the lexicon takes PNG and JPEG of at most a megabyte.
func (j *apJob) portrait(rec map[string]any, key string, v *as2.Value, kind string) {
	u := j.imageURL(v)
	if u == "" {
		return
	}
	j.wantFile(u, kind, v.First().Get("mediaType").Str())
	b, ok := j.c.Blobs[u]
	if !ok || b.CID == "" || b.Size > maxThumbBytes || b.MimeType != "image/png" && b.MimeType != "image/jpeg" {
		j.lose(LossMediaUnavailable, u)
		return
	}
	rec[key] = blobRef(b)
}

// pinned is the first of the featured posts that was bridged, where the collection is known.
func (j *apJob) pinned(rec map[string]any) {
	f := j.obj.Get("featured").First()
	if f.Kind() == as2.String {
		j.want(refObjects, f.Str())
		if v, err := as2.Parse(j.c.APObjects[f.Str()]); err == nil {
			f = v
		}
	}
	ids := append(f.Refs("orderedItems"), f.Refs("items")...)
	n := 0
	for _, id := range ids[:min(len(ids), maxAttachments)] {
		ref, ok := j.strongRef(id)
		if !ok || j.actor.DID != "" && didOf(ref.URI) != j.actor.DID {
			continue
		}
		if n++; n == 1 {
			rec["pinnedPost"] = refMap(ref)
		}
	}
	if len(ids) > 1 || len(ids) == 1 && n == 0 {
		j.lose(LossPinned, "")
	}
}
