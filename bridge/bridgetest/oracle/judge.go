package oracle

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// judge replays the history against the workload.
type judge struct {
	Case
	v     Verdict
	items map[string]*item
	left  map[string]Act // who withdrew
	// copies are what was made of each item at each place, in the order of arrival.
	copies map[string]map[string][]*thing
	things map[string]*thing // place and id
	// hidden and gone tell of accounts at places: since when, zero if not.
	hidden  map[string]bool
	cleared map[string]time.Time
	order   map[string][]*thing // creations at the relay, by author
}

// thing is one object at one place.
type thing struct {
	place, id, author, item string
	text                    string
	published               string
	rev                     int
	created, deleted        time.Time
	alive                   bool
	creates                 int
}

// Judge compares what was seen with what was sent.
func Judge(c Case) Verdict {
	if c.Grace == 0 {
		c.Grace = 2 * time.Second
	}
	if c.Removal == 0 {
		c.Removal = time.Minute
	}
	j := &judge{Case: c, copies: map[string]map[string][]*thing{}, things: map[string]*thing{}, hidden: map[string]bool{},
		cleared: map[string]time.Time{}, order: map[string][]*thing{}}
	j.items, j.left = items(c.Acts)
	r := reader{byID: map[string]string{}}
	for _, it := range j.items {
		if it.id != "" {
			r.byID[it.id] = it.name
		}
	}
	secrets := j.secrets()
	for n, s := range c.Seen {
		j.scan(s, secrets)
		if got, ok := r.read(n, s); ok {
			j.see(got)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.items)) {
		j.item(j.items[name])
	}
	j.orders()
	j.shown()
	return j.v
}

func note(list *[]string, format string, args ...any) {
	*list = append(*list, fmt.Sprintf(format, args...))
}

// secrets are the markers that must not be seen anywhere on the other side.
func (j *judge) secrets() map[string]*item {
	out := map[string]*item{}
	for name, it := range j.items {
		if it.secret {
			out[name] = it
		}
	}
	return out
}

// scan looks for what must not cross in all bytes of a document, also where no reader would look.
func (j *judge) scan(s Seen, secrets map[string]*item) {
	if len(secrets) == 0 || !bytes.Contains(s.Raw, []byte("item")) {
		return
	}
	for _, m := range marker.FindAll(s.Raw, -1) {
		if it := secrets[string(m)]; it != nil && crosses(it, s.Place) {
			note(&j.v.Leaked, "%s of %s was seen at %s", it.name, it.author, s.Place)
		}
	}
}

// crosses reports whether a place is on the other side of an item.
func crosses(it *item, place string) bool { return (it.side == Fediverse) == (place == Relay) }

// see takes one sighting into account.
func (j *judge) see(s sighting) {
	switch s.what {
	case "gone", "hidden", "back":
		j.account(s)
		return
	case "delete":
		if t := j.things[s.place+" "+s.id]; t != nil && t.alive {
			t.alive, t.deleted = false, s.at
		}
		return
	}
	if s.item == "" {
		return
	}
	it := j.items[s.item]
	if it == nil {
		note(&j.v.Leaked, "%s at %s was never sent", s.item, s.place)
		return
	}
	if !crosses(it, s.place) {
		return
	}
	j.made(it, s)
	if gone, ok := j.left[it.author]; ok && s.at.After(gone.At.Add(j.Grace)) {
		note(&j.v.Leaked, "%s appeared at %s %v after %s withdrew", it.name, s.place, s.at.Sub(gone.At).Round(time.Millisecond), it.author)
	}
}

// account takes an account's own state at a place into account.
func (j *judge) account(s sighting) {
	key := s.place + " " + s.author
	j.hidden[key] = s.what == "hidden"
	if s.what != "gone" {
		return
	}
	j.cleared[key] = s.at
	for _, t := range j.things {
		if t.place == s.place && t.author == s.author && t.alive {
			t.alive, t.deleted = false, s.at
		}
	}
}

// made is a creation or a new version.
func (j *judge) made(it *item, s sighting) {
	key := s.place + " " + s.id
	t := j.things[key]
	if t == nil {
		t = &thing{place: s.place, id: s.id, author: it.author, item: it.name, created: s.at, published: s.published}
		j.things[key] = t
		if j.copies[it.name] == nil {
			j.copies[it.name] = map[string][]*thing{}
		}
		j.copies[it.name][s.place] = append(j.copies[it.name][s.place], t)
		if it.verb == Post {
			k := s.place + " " + it.author
			j.order[k] = append(j.order[k], t)
		}
		t.alive = true
	} else if !t.alive {
		note(&j.v.Resurrected, "%s at %s was made again after it was deleted", it.name, s.place)
		t.alive = true
	}
	j.version(it, t, s)
}

// version follows the text of a thing: versions go forward only, and one creation has one text.
func (j *judge) version(it *item, t *thing, s sighting) {
	if t.item != it.name {
		note(&j.v.Duplicate, "%s became both %s and %s at %s", t.id, t.item, it.name, s.place)
	}
	rev := 1 + slices.Index(it.texts, s.text)
	if it.verb == Post && rev == 0 {
		note(&j.v.Lost, "%s has a text at %s that was never written: %q", it.name, s.place, s.text)
		return
	}
	if s.what == "create" {
		t.creates++
		if t.creates > 1 && (s.place == Relay || rev != t.rev) {
			note(&j.v.Duplicate, "%s was created %d times at %s", it.name, t.creates, s.place)
		}
	}
	if rev < t.rev {
		note(&j.v.Misordered, "%s went from version %d back to %d at %s", it.name, t.rev, rev, s.place)
	}
	t.text, t.rev = s.text, rev
}

// places are where an item must be seen.
func (j *judge) places(it *item) []string {
	if it.side == Fediverse {
		return []string{Relay}
	}
	if it.verb == Post {
		return j.Servers
	}
	of := j.items[it.of]
	if of == nil {
		return nil
	}
	for _, s := range j.Servers { // the like goes to the server of the post
		if strings.Contains(of.id, "://"+s+"/") {
			return []string{s}
		}
	}
	return nil
}

func (j *judge) item(it *item) {
	for place, copies := range j.copies[it.name] {
		if len(copies) > 1 {
			note(&j.v.Duplicate, "%s exists %d times at %s", it.name, len(copies), place)
		}
	}
	if it.secret || len(it.texts) == 0 { // or only its end was played
		return
	}
	if gone, ok := j.left[it.author]; ok {
		j.erased(it, gone)
		return
	}
	for _, place := range j.places(it) {
		j.at(it, place)
	}
}

// at judges the end state of an item at one place.
func (j *judge) at(it *item, place string) {
	var live []*thing
	for _, t := range j.copies[it.name][place] {
		if t.alive {
			live = append(live, t)
		}
	}
	last := it.texts[len(it.texts)-1]
	switch {
	case it.removed && len(live) > 0:
		note(&j.v.Resurrected, "%s was deleted and is still at %s", it.name, place)
	case it.removed:
	case len(live) == 0:
		note(&j.v.Lost, "%s of %s is not at %s", it.name, it.author, place)
	case it.verb == Post && live[0].text != last:
		note(&j.v.Lost, "%s has version %d of %d at %s", it.name, live[0].rev, len(it.texts), place)
	}
}

// erased judges an item of somebody who left: nothing of it stays.
func (j *judge) erased(it *item, gone Act) {
	for place, copies := range j.copies[it.name] {
		for _, t := range copies {
			if t.alive {
				note(&j.v.Leaked, "%s of %s, who left, is still at %s", it.name, it.author, place)
			} else if t.deleted.After(gone.At.Add(j.Removal)) {
				note(&j.v.Leaked, "%s of %s, who left, went from %s only after %v", it.name, it.author, place, t.deleted.Sub(gone.At).Round(time.Second))
			}
		}
	}
}

// orders compares the order in which an author's posts were made with that in which they were written: in the repo by
// commit, and on the fediverse, where deliveries of different posts may overtake each other, by the date that readers'
// servers sort by.
func (j *judge) orders() {
	for _, key := range slices.Sorted(maps.Keys(j.order)) {
		things := j.order[key]
		if !strings.HasPrefix(key, Relay+" ") {
			things = slices.Clone(things)
			slices.SortStableFunc(things, func(a, b *thing) int { return cmp.Compare(a.published, b.published) })
			things = untied(things)
		}
		for i := 1; i < len(things); i++ {
			before, after := j.items[things[i-1].item], j.items[things[i].item]
			if before.seq > after.seq {
				note(&j.v.Misordered, "%s of %s came before %s at %s", before.name, before.author, after.name, things[i].place)
			}
		}
	}
}

// untied leaves out posts that carry the same date as the one before.
func untied(things []*thing) []*thing {
	var out []*thing
	for i, t := range things {
		if i == 0 || t.published != things[i-1].published {
			out = append(out, t)
		}
	}
	return out
}

// shown compares what a reader of the ATmosphere is shown with the workload.
func (j *judge) shown() {
	if !j.Checked {
		return
	}
	count := map[string]int{}
	for _, s := range j.Shown {
		name := marker.FindString(s.Text)
		it := j.items[name]
		switch {
		case name == "" || it != nil && it.side == ATmosphere:
			continue
		case it == nil || it.secret:
			note(&j.v.Leaked, "%s is shown by the AppView", name)
		case it.removed:
			note(&j.v.Resurrected, "%s was deleted and is shown by the AppView", name)
		case s.Text != it.texts[len(it.texts)-1]:
			note(&j.v.Lost, "%s is shown by the AppView in an old version", name)
		}
		if _, left := j.left[s.Author]; left {
			note(&j.v.Leaked, "%s of %s, who left, is shown by the AppView", name, s.Author)
		}
		count[name]++
		if count[name] == 2 {
			note(&j.v.Duplicate, "%s is shown twice by the AppView", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.items)) {
		it := j.items[name]
		if _, left := j.left[it.author]; !left && it.side == Fediverse && it.verb == Post && !it.removed && !it.secret && count[name] == 0 {
			note(&j.v.Lost, "%s is not shown by the AppView", name)
		}
	}
}
