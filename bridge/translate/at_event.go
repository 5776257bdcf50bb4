package translate

import (
	"strconv"
	"strings"
)

// event makes an Event (the shape that Mobilizon, Gancio and WordPress send) of community.lexicon.calendar.event.
func (j *atJob) event(uri string, rec lex) (map[string]any, contextTerms, DropReason) {
	name := strings.TrimSpace(rec.str("name"))
	start, ok := parseLexDate(rec.str("startsAt"))
	if name == "" {
		return nil, 0, DropMalformed
	}
	id, me := j.own(uri), j.me()
	doc := map[string]any{
		"id": id, "type": "Event", "attributedTo": me, "actor": me, "name": name,
		"published": j.published(rec.str("createdAt")), "url": eventPage(uri, id),
		"to": []any{Public}, "cc": []any{me + "/followers"},
		"commentsEnabled": true, "joinMode": "free", "sensitive": false,
		"ical:status": eventStatus(rec.str("status")),
	}
	if ok {
		doc["startTime"] = formatDate(start)
	} else {
		j.lose(LossEventDetail, "startsAt")
	}
	if end, ok := parseLexDate(rec.str("endsAt")); ok {
		doc["endTime"] = formatDate(end)
	}
	mode := fragment(rec.str("mode"))
	doc["isOnline"] = mode == "virtual"
	j.places(doc, rec)
	j.eventText(doc, rec)
	return doc, termEvent | termSensitive, None
}

// eventPage is the page of the event where the lexicon comes from.
func eventPage(uri, id string) string {
	did, _, rkey, ok := SplitURI(uri)
	if !ok {
		return id
	}
	return "https://smokesignal.events/" + did + "/" + rkey
}

// fragment is the name of a token such as community.lexicon.calendar.event#scheduled.
func fragment(s string) string {
	_, name, _ := strings.Cut(s, "#")
	return name
}

// eventStatus maps to iCalendar (RFC 5545, 3.8.1.11).
func eventStatus(s string) string {
	switch fragment(s) {
	case "cancelled":
		return "CANCELLED"
	case "planned", "postponed":
		return "TENTATIVE"
	}
	return "CONFIRMED"
}

// places gives the first place as location; further ones go into the text.
func (j *atJob) places(doc map[string]any, rec lex) {
	for _, v := range rec.list("locations") {
		place := placeOf(asLex(v))
		if place == nil {
			continue
		}
		if doc["location"] != nil {
			j.lose(LossEventDetail, "locations")
			return
		}
		doc["location"] = place
	}
}

// placeOf makes a Place of the kinds of location that the lexicon knows.
func placeOf(m lex) map[string]any {
	place := map[string]any{"type": "Place"}
	switch m.typ() {
	case "community.lexicon.location.address":
		address := map[string]any{"type": "PostalAddress"}
		var words []string
		for _, k := range [][2]string{{"street", "streetAddress"}, {"postalCode", "postalCode"}, {"locality", "addressLocality"}, {"region", "addressRegion"}, {"country", "addressCountry"}} {
			if s := m.str(k[0]); s != "" {
				address[k[1]] = s
				words = append(words, s)
			}
		}
		place["address"] = address
		place["name"] = strings.Join(words, ", ")
	case "community.lexicon.location.geo":
		lat, errLat := strconv.ParseFloat(m.str("latitude"), 64)
		long, errLong := strconv.ParseFloat(m.str("longitude"), 64)
		if errLat != nil || errLong != nil || lat < -90 || lat > 90 || long < -180 || long > 180 {
			return nil
		}
		place["latitude"], place["longitude"] = lat, long
		place["name"] = m.str("latitude") + ", " + m.str("longitude")
	default:
		if m.str("name") == "" {
			return nil
		}
	}
	if name := m.str("name"); name != "" {
		place["name"] = name
	}
	if place["name"] == "" {
		return nil
	}
	return place
}

// eventText is the description, with the event's addresses as links.
func (j *atJob) eventText(doc map[string]any, rec lex) {
	var w textWriter
	text := rec.str("description")
	spans := append(j.typedLinks(text), j.typedHandles(text)...)
	w.writeText(text, j.untangle(spans))
	var links []any
	for _, v := range append(rec.list("uris"), rec.list("locations")...) {
		m := asLex(v)
		href, ok := safeURL(m.str("uri"))
		if !ok || len(links) >= 20 {
			continue
		}
		name := m.str("name")
		if name == "" {
			name = href
		}
		links = append(links, map[string]any{"type": "Link", "href": href, "name": name})
		if !strings.Contains(text, href) {
			w.paragraph(func() { w.link(href, linkAttributes, name, "") })
		}
	}
	doc["content"] = w.String()
	if links != nil {
		doc["attachment"] = links
	}
}

// rsvp makes a Join of an event of the AP side; a changed mind is a Leave.
func (j *atJob) rsvp(rec lex) ([]map[string]any, DropReason) {
	t, why := j.find(rec.ref("subject"))
	if why != None {
		return nil, why
	}
	if t.native == "at" {
		return nil, DropOwnNetwork
	}
	going := fragment(rec.str("status")) == "going"
	was := fragment(decodeRecord(j.ev.Previous).str("status")) == "going"
	switch {
	case going:
		return []map[string]any{j.join("Join", t)}, None
	case was:
		return []map[string]any{j.join("Leave", t)}, None
	}
	return nil, DropNoCounterpart // "interested" and "not going" are not said on the other side
}

func (j *atJob) join(typ string, t target) map[string]any {
	id := j.own(j.ev.URI)
	if typ == "Leave" {
		id += "#leave"
	}
	return map[string]any{
		"@context": contextTerms(0).value(), "id": id, "type": typ, "actor": j.me(), "object": t.id,
		"to": []any{t.author}, "cc": []any{},
	}
}

func (j *atJob) eraseRSVP() ([]map[string]any, DropReason) {
	rec := j.before(j.ev.URI)
	if fragment(rec.str("status")) != "going" {
		return nil, DropUnknownTarget
	}
	t, why := j.find(rec.ref("subject"))
	if why != None || t.native == "at" {
		return nil, DropUnknownTarget
	}
	return []map[string]any{j.join("Leave", t)}, None
}
