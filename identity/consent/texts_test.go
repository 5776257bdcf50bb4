package consent_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"footbridge/identity/consent"
)

func languages() []string { return []string{"ar", "en", "es", "fr", "ja", "pt"} }

// TestR9_TextVersions: every word of every notice is a version of its own. A changed hash means a new version, which has
// to be reviewed, and which old grants do not rest on.
func TestR9_TextVersions(t *testing.T) {
	r := newRig(t)
	var b strings.Builder
	needs := [][]consent.Scope{nil, {consent.ScopeDespiteLocked}, {consent.ScopeDespiteNoUnauth}, {consent.ScopeDespiteLocked, consent.ScopeDespiteNoUnauth}}
	for _, lang := range r.desk.Texts().Langs() {
		for _, s := range []consent.Pseudonym{"ap", "at"} {
			subject := alice
			if s == "at" {
				subject = bella
			}
			for i, n := range needs {
				notice, form := r.desk.Notice(subject, lang, n), r.desk.FormNotice(subject, lang, n)
				if hexHash([]byte(notice.Text)) != notice.Hash || notice.Hash == form.Hash {
					t.Errorf("%s %s: the hash is not of the text", lang, s)
				}
				fmt.Fprintf(&b, "%s %s %d notice %s %s\n%s %s %d form   %s %s\n", lang, s, i, notice.Lang, notice.Hash, lang, s, i, form.Lang, form.Hash)
			}
		}
	}
	golden(t, "texts.sha256", b.String())
}

func TestR9_TheLedgerSaysWhatWasShown(t *testing.T) {
	r := newRig(t)
	a := r.asked(alice)
	ch := r.do(func(tx consent.Tx) (consent.Change, error) {
		return r.desk.Confirm(tx, consent.Confirmation{Subject: alice, Evidence: ev(consent.E4, "yes"), Code: a.Code})
	})
	r.view(func(tx consent.Tx) error {
		h, err := r.desk.History(tx, alice)
		last := h.Entries[len(h.Entries)-1]
		if last.Index != ch.LedgerIndex || last.Leaf.Text.SHA256 != a.TextHash || last.Leaf.Text.Lang != "en" {
			t.Errorf("%+v", last.Leaf)
		}
		_, text, err2 := tx.ConsentText(a.TextHash)
		if strings.ReplaceAll(text, "{code}", a.Code) != a.Text {
			t.Errorf("kept is\n%s\nshown was\n%s", text, a.Text)
		}
		if err == nil {
			err = err2
		}
		return err
	})
}

// TestR8_FirstHundredWords: who, what, where, that it becomes public and searchable, that copies may stay, how to stop.
func TestR8_FirstHundredWords(t *testing.T) {
	r := newRig(t)
	for network, s := range map[string]consent.Notice{"ap": r.desk.Notice(alice, "en", nil), "at": r.desk.Notice(bella, "en", nil), "form": r.desk.FormNotice(alice, "en", nil)} {
		words := strings.Fields(s.Text)
		first := strings.Join(words[:100], " ")
		if len(words) < 100 {
			t.Fatalf("%s: only %d words", network, len(words))
		}
		for _, want := range []string{"run by Example Co-op", "copies your public profile", "everyone can see, search", "Others may keep copies even after you delete", "To stop, send stop or block"} {
			if !strings.Contains(strings.Join(words[:min(100, len(words))], " "), want) {
				t.Errorf("%s: the first hundred words lack %q:\n%s", network, want, first)
			}
		}
	}
	for _, lang := range r.desk.Texts().Langs() {
		body := r.desk.Texts().Say(lang, "notice.body", nil)
		for _, p := range []string{"{name}", "{runner}", "{where}", "{contact}", "stop"} {
			if !strings.Contains(body, p) {
				t.Errorf("%s: the notice lacks %s", lang, p)
			}
		}
	}
}

// TestR8_PlainWords: Flesch-Kincaid grade of eight at most, for each English sentence group that people read.
func TestR8_PlainWords(t *testing.T) {
	r := newRig(t)
	for _, n := range []consent.Notice{r.desk.Notice(alice, "en", []consent.Scope{consent.ScopeDespiteLocked, consent.ScopeDespiteNoUnauth}), r.desk.FormNotice(bella, "en", nil)} {
		if g := grade(n.Text); g > 8 {
			t.Errorf("grade %.1f:\n%s", g, n.Text)
		}
	}
	var all []string
	for _, id := range r.desk.Texts().IDs() {
		if strings.HasPrefix(id, "answer.") || strings.HasPrefix(id, "refused.") || strings.HasPrefix(id, "page.") && strings.HasSuffix(id, "text") || strings.HasPrefix(id, "page.privacy.") || strings.HasPrefix(id, "warn.") {
			all = append(all, r.desk.Texts().Say("en", id, nil))
		}
	}
	if g := grade(strings.Join(all, " ")); g > 8 || len(all) < 40 {
		t.Errorf("grade %.1f over %d texts", g, len(all))
	}
}

var syllable = regexp.MustCompile(`[aeiouy]+`)

func grade(text string) float64 {
	sentences, words, syllables := 0.0, 0.0, 0.0
	for _, r := range text {
		if strings.ContainsRune(".!?:\n", r) {
			sentences++
		}
	}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' }) {
		words++
		n := len(syllable.FindAllString(w, -1))
		if strings.HasSuffix(w, "e") && n > 1 {
			n--
		}
		syllables += float64(max(n, 1))
	}
	return 0.39*words/max(sentences, 1) + 11.8*syllables/words - 15.59
}

// TestR117_Catalogues: all six languages, nothing that English does not have, the same placeholders, and no draft where
// consent is obtained.
func TestR117_Catalogues(t *testing.T) {
	r := newRig(t)
	langs := r.desk.Texts().Langs()
	slices.Sort(langs)
	if !slices.Equal(langs, languages()) {
		t.Fatalf("languages: %v", langs)
	}
	place := regexp.MustCompile(`\{[a-z]+\}`)
	for _, lang := range langs {
		c := r.desk.Texts().Match(lang)
		for id, s := range c.Strings {
			want := place.FindAllString(r.desk.Texts().Match("en").Strings[id], -1)
			got := place.FindAllString(s, -1)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(want, got) {
				t.Errorf("%s %s: placeholders %v, want %v", lang, id, got, want)
			}
		}
		for _, id := range r.desk.Texts().IDs() {
			if _, ok := c.Strings[id]; !ok {
				t.Errorf("%s lacks %s", lang, id)
			}
		}
		n := r.desk.Notice(alice, lang, nil)
		if !r.desk.Texts().Match(n.Lang).Reviewed() || !c.Reviewed() && n.Lang != consent.English {
			t.Errorf("consent in %s would be obtained by a text in %s that nobody has reviewed", lang, n.Lang)
		}
	}
}

func TestEveryReasonAndStateHasWords(t *testing.T) {
	r := newRig(t)
	say := func(id string) {
		if r.desk.Texts().Say("en", id, nil) == "" {
			t.Errorf("no words for %s", id)
		}
	}
	for _, x := range consent.Reasons() {
		say("refused." + string(x))
	}
	for _, x := range consent.States() {
		say("state." + string(x))
	}
	for _, x := range consent.Scopes() {
		say("scope." + string(x.Name))
		if x.Warn {
			say("warn." + string(x.Name))
		}
	}
	for _, x := range consent.OptionList() {
		say("option." + string(x.Name))
		for _, v := range x.Values {
			say("value." + v)
		}
	}
}

// TestNoticesFitAMessage: the chat of the AT side takes a thousand graphemes.
func TestNoticesFitAMessage(t *testing.T) {
	r := newRig(t)
	n := r.desk.Notice(bella, "en", []consent.Scope{consent.ScopeDespiteNoUnauth})
	if len([]rune(n.WithCode("ABCDEF"))) > 1000 {
		t.Errorf("a notice of %d letters", len([]rune(n.Text)))
	}
}

func TestMatchLanguages(t *testing.T) {
	r := newRig(t)
	for want, got := range map[string]string{"": "en", "de": "en", "es-MX": "es", "pt-BR,pt;q=0.9,en;q=0.8": "pt", "ar-EG": "ar", "ja": "ja", "zh, fr;q=0.5": "fr", "x;;;": "en", strings.Repeat("a", 9999): "en"} {
		if c := r.desk.Texts().Match(want); c.Lang != got {
			t.Errorf("%.20q gives %s, want %s", want, c.Lang, got)
		}
	}
}

// TestR43_TheSweepKeepsTheTable fills every table of this room, waits, and wants nothing older than its class allows.
func TestR43_TheSweepKeepsTheTable(t *testing.T) {
	r := newRig(t)
	r.asked(alice)
	r.join(bella, true)
	r.ok(r.db.Update(context.Background(), func(tx consent.Tx) error {
		_, err := r.desk.Link(tx, bella, consent.LinkWithdraw, day)
		return err
	}))
	r.do(func(tx consent.Tx) (consent.Change, error) { return r.desk.Pause(tx, bella, ev(consent.E3, "pause")) })
	r.withdraw(bella)
	keep := map[string]time.Duration{}
	for _, c := range consent.RetentionTable() {
		keep[c.Class] = c.Keep()
	}
	if keep["codes"] != 7*day || keep["contacts"] != day || keep["evidence"] != 30*day || keep["pending"] != 7*day {
		t.Fatalf("the table says %v", keep)
	}
	r.tick(30*day + time.Minute)
	r.view(func(tx consent.Tx) error {
		if _, err := tx.ConsentCode(alice); err == nil {
			t.Error("a code is left")
		}
		if _, err := tx.ConsentContact(r.desk.Pseudonym(bella)); err == nil {
			t.Error("a contact is left")
		}
		if _, err := tx.ConsentRow(alice); err == nil {
			t.Error("an unconfirmed contact is left")
		}
		rows, err := tx.EvidenceRows(0, 100)
		if len(rows) != 0 {
			t.Errorf("%d pieces of evidence are left", len(rows))
		}
		return err
	})
	r.audit()
}
