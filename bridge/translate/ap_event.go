package translate

import (
	"footbridge/activitypub/as2"
	"strings"
)

// event shows an Event as a post with time and place, and as a record of community.lexicon.calendar.event for clients
// that know it. Mobilizon, Gancio and WordPress write the same terms.
func (j *apJob) event(d *apDraft) {
	o := j.obj
	content, langs := j.content(o)
	d.langs = langs
	name := j.plain(o.Text("name"))
	text := j.html(content, markdown(o))
	if text.text == "" {
		text = j.html(o.Text("summary"), false)
	}
	status := apEventStatus(o)
	if status == "cancelled" {
		name = joinRich(" ", name, rich{text: "(" + j.lines.cancelled + ")"})
	}
	d.head = joinRich("\n", name, rich{text: j.whenLine(o)}, j.whereLine(o))
	d.body = text
	d.wantHome = true
	d.home.title = name.text
	d.home.description = joinRich("\n", rich{text: j.whenLine(o)}, j.whereLine(o)).text
	d.home.image = j.imageURL(o.Get("image"))
	if d.home.image == "" && len(d.media) > 0 {
		d.home.image = d.media[0].url
	}
	if o.Get("maximumAttendeeCapacity").Int() > 0 || o.Has("category") || o.Has("contacts") {
		j.lose(LossEventDetail, "")
	}
	d.extra = func(key, uri, created string) []Write {
		return j.calendarEvent(uri, created, text.text, status)
	}
}

func (j *apJob) whenLine(o *as2.Value) string {
	start, ok := as2.ParseLocalTime(o.Get("startTime").Str())
	if !ok {
		return ""
	}
	s := j.lines.when + ": " + humanTime(start)
	end, ok := as2.ParseLocalTime(o.Get("endTime").Str())
	switch {
	case !ok || !end.After(start):
	case end.Format("2006-01-02") == start.Format("2006-01-02"):
		s = j.lines.when + ": " + start.Format("2006-01-02 15:04") + "–" + strings.TrimPrefix(humanTime(end), end.Format("2006-01-02 "))
	default:
		s += " – " + humanTime(end)
	}
	return s
}

// apPlace is what an event says of where it is; coordinates are left out.
type apPlace struct {
	name, street, locality, region, postal, country, url string
}

func apPlaceOf(o *as2.Value) apPlace {
	l := o.Get("location").First()
	if l.Kind() == as2.String {
		return apPlace{name: l.Str()}
	}
	if l.Is("VirtualLocation") || l.Type() == "" && l.Has("url") && !l.Has("address") {
		return apPlace{name: l.Text("name"), url: l.Get("url").Ref()}
	}
	p := apPlace{name: l.Text("name")}
	a := l.Get("address").First()
	if a.Kind() == as2.String {
		p.street = a.Str()
		return p
	}
	p.street, p.locality, p.region = a.Text("streetAddress"), a.Text("addressLocality"), a.Text("addressRegion")
	p.postal, p.country = a.Text("postalCode"), a.Text("addressCountry")
	return p
}

func (j *apJob) whereLine(o *as2.Value) rich {
	p := apPlaceOf(o)
	var parts []string
	for _, s := range []string{p.name, p.street, strings.TrimSpace(p.postal + " " + p.locality), p.country} {
		if s = oneLine(plainHTML(s)); s != "" && !contains(parts, s) {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 && p.url == "" {
		return rich{}
	}
	line := joinRich(" ", j.scan(rich{text: strings.Join(parts, ", ")}), j.scan(rich{text: p.url}))
	return appendRich(rich{text: j.lines.where + ": "}, line)
}

// apEventStatus reads ical:status, status or apEventStatus.
func apEventStatus(o *as2.Value) string {
	for _, k := range [...]string{"ical:status", "status", "eventStatus"} {
		s := strings.ToLower(o.Get(k).Str())
		switch {
		case strings.Contains(s, "cancel"):
			return "cancelled"
		case strings.Contains(s, "postpone"):
			return "postponed"
		case strings.Contains(s, "reschedule"):
			return "rescheduled"
		case strings.Contains(s, "tentative"):
			return "planned"
		}
	}
	return "scheduled"
}

// calendarEvent is the record; name and createdAt are what the lexicon demands.
func (j *apJob) calendarEvent(postURI, created, text, status string) []Write {
	o := j.obj
	name := oneLine(j.plain(o.Text("name")).text)
	if name == "" {
		return nil
	}
	rec := map[string]any{
		"$type": nsidEvent, "name": name, "createdAt": created, "status": nsidEvent + "#" + status,
		"mode": nsidEvent + "#" + eventMode(o),
	}
	if text != "" {
		rec["description"] = text
	}
	for key, field := range map[string]string{"startTime": "startsAt", "endTime": "endsAt"} {
		if t, ok := o.Time(key); ok {
			rec[field] = formatTime(t)
		}
	}
	if l := j.locations(o); len(l) > 0 {
		rec["locations"] = l
	}
	if u, ok := webURL(j.originalURL()); ok {
		rec["uris"] = []any{map[string]any{"$type": nsidEvent + "#uri", "uri": u, "name": name}}
	}
	return []Write{j.aux(postURI, nsidEvent, rec)}
}

func eventMode(o *as2.Value) string {
	p := apPlaceOf(o)
	online := o.Get("isOnline").Bool() || p.url != "" || strings.Contains(strings.ToLower(o.Get("eventAttendanceMode").Str()), "online")
	there := p.street != "" || p.locality != "" || p.name != "" && p.url == ""
	switch {
	case strings.Contains(strings.ToLower(o.Get("eventAttendanceMode").Str()), "mixed"), online && there:
		return "hybrid"
	case online:
		return "virtual"
	}
	return "inperson"
}

// locations are the address, where its country is known, and the address on the web.
func (j *apJob) locations(o *as2.Value) []any {
	p := apPlaceOf(o)
	p.name, p.street = j.words(p.name), j.words(p.street)
	var out []any
	if u, ok := webURL(p.url); ok {
		loc := map[string]any{"$type": nsidEvent + "#uri", "uri": u}
		if p.name != "" {
			loc["name"] = p.name
		}
		out = append(out, loc)
	}
	country := countryCode(p.country)
	if country == "" {
		return out
	}
	loc := map[string]any{"$type": "community.lexicon.location.address", "country": country}
	for k, v := range map[string]string{"name": p.name, "street": p.street, "locality": p.locality, "region": p.region, "postalCode": p.postal} {
		if v != "" {
			loc[k] = v
		}
	}
	return append(out, loc)
}

// countryCode is the ISO 3166 code; the lexicon takes 2 to 10 characters. Servers write names in their own language.
func countryCode(s string) string {
	s = strings.TrimSpace(s)
	if n := len(s); n == 2 || n == 3 {
		return strings.ToUpper(s)
	}
	return countryNames()[strings.ToLower(s)]
}

func countryNames() map[string]string {
	return map[string]string{
		"united kingdom": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "ireland": "IE", "france": "FR",
		"germany": "DE", "deutschland": "DE", "spain": "ES", "españa": "ES", "italy": "IT", "italia": "IT", "portugal": "PT",
		"netherlands": "NL", "the netherlands": "NL", "nederland": "NL", "belgium": "BE", "belgique": "BE", "belgië": "BE", "switzerland": "CH",
		"schweiz": "CH", "suisse": "CH", "austria": "AT", "österreich": "AT", "poland": "PL", "polska": "PL", "czechia": "CZ",
		"czech republic": "CZ", "denmark": "DK", "danmark": "DK", "sweden": "SE", "sverige": "SE", "norway": "NO", "norge": "NO",
		"finland": "FI", "suomi": "FI", "greece": "GR", "hungary": "HU", "romania": "RO", "luxembourg": "LU", "united states": "US",
		"united states of america": "US", "usa": "US", "canada": "CA", "mexico": "MX", "méxico": "MX", "brazil": "BR", "brasil": "BR",
		"argentina": "AR", "chile": "CL", "colombia": "CO", "japan": "JP", "日本": "JP", "australia": "AU", "new zealand": "NZ", "india": "IN",
		"ukraine": "UA", "turkey": "TR", "türkiye": "TR", "south africa": "ZA", "south korea": "KR", "taiwan": "TW",
	}
}
