package consent

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"footbridge/identity"
)

//go:embed texts/*.json
var textFiles embed.FS

// English is the language of last resort, and the one that is always reviewed.
const English = "en"

// Catalogue holds every sentence that people read, in one language.
type Catalogue struct {
	Lang string `json:"lang"`
	// Status is "reviewed" or "draft". A draft is machine-made and not binding: it cannot obtain consent.
	Status   string            `json:"status"`
	Reviewer string            `json:"reviewer"`
	Strings  map[string]string `json:"strings"`
}

// Reviewed tells whether a named person stands for the words.
func (c *Catalogue) Reviewed() bool { return c.Status == "reviewed" && c.Reviewer != "" }

// Texts are all catalogues.
type Texts struct{ byLang map[string]*Catalogue }

// LoadTexts reads the embedded catalogues.
func LoadTexts() (*Texts, error) { return loadTexts(textFiles) }

func loadTexts(files fs.FS) (*Texts, error) {
	names, err := fs.Glob(files, "texts/*.json")
	if err != nil {
		return nil, fmt.Errorf("loading texts: %w", err)
	}
	t := &Texts{byLang: map[string]*Catalogue{}}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("loading texts: %w", err)
		}
		var c Catalogue
		if err := json.Unmarshal(b, &c); err != nil {
			return nil, fmt.Errorf("loading %s: %w", name, err)
		}
		if c.Lang+".json" != path.Base(name) {
			return nil, fmt.Errorf("loading %s: it says it is %q", name, c.Lang)
		}
		t.byLang[c.Lang] = &c
	}
	if c := t.byLang[English]; c == nil || !c.Reviewed() {
		return nil, fmt.Errorf("loading texts: there is no reviewed English")
	}
	return t, nil
}

// Langs lists the languages, English first.
func (t *Texts) Langs() []string {
	langs := slices.Sorted(maps.Keys(t.byLang))
	return append([]string{English}, slices.DeleteFunc(langs, func(l string) bool { return l == English })...)
}

// Match picks the catalogue for a BCP 47 tag or an Accept-Language header; English if none fits.
func (t *Texts) Match(want string) *Catalogue {
	langs := t.Langs()
	tags := make([]language.Tag, len(langs))
	for i, l := range langs {
		tags[i] = language.Make(l)
	}
	prefs, _, err := language.ParseAcceptLanguage(want[:min(len(want), 256)])
	if err != nil || len(prefs) == 0 {
		return t.byLang[English]
	}
	_, i, confidence := language.NewMatcher(tags).Match(prefs...)
	if confidence == language.No {
		return t.byLang[English]
	}
	return t.byLang[langs[i]]
}

// Binding picks the catalogue for words that obtain consent: reviewed ones only (R117).
func (t *Texts) Binding(want string) *Catalogue {
	if c := t.Match(want); c.Reviewed() {
		return c
	}
	return t.byLang[English]
}

// Say renders one sentence in the language wanted; drafts will do here. Values replace {name} once, and are not
// themselves expanded. A sentence missing in a draft is said in English.
func (t *Texts) Say(want, id string, values map[string]string) string {
	s, ok := t.Match(want).Strings[id]
	if !ok {
		s = t.byLang[English].Strings[id]
	}
	return fill(s, values)
}

func fill(s string, values map[string]string) string {
	pairs := make([]string, 0, 2*len(values))
	for _, k := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, "{"+k+"}", values[k])
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// Notice is the text that asks, as one version: the hash is over the whole of it with {code} in place of a code, so it
// changes with every word, with the operator and with each warning (R9).
type Notice struct {
	Lang, Text, Hash string
}

// WithCode is what is sent.
func (n Notice) WithCode(code string) string { return fill(n.Text, map[string]string{"code": code}) }

// Notice renders the text for a subject in the best reviewed language.
func (d *Desk) Notice(s identity.Subject, want string, needs []Scope) Notice {
	return d.texts.notice(d.c.Operator, s, want, needs, "notice.yes", "notice.all", "notice.no", "notice.more")
}

// FormNotice is the text for a form on a page, where one ticks instead of answering with a code.
func (d *Desk) FormNotice(s identity.Subject, want string, needs []Scope) Notice {
	return d.texts.notice(d.c.Operator, s, want, needs, "notice.form")
}

func (t *Texts) notice(o Operator, s identity.Subject, want string, needs []Scope, answers ...string) Notice {
	c := t.Binding(want)
	where := c.Strings[whereID(s)]
	parts := []string{c.Strings["notice.body"]}
	for _, n := range needs {
		parts = append(parts, c.Strings["notice.warn."+string(n)])
	}
	for _, a := range answers {
		parts = append(parts, c.Strings[a])
	}
	text := fill(strings.Join(parts, "\n\n"), map[string]string{
		"name": o.Name, "runner": o.Runner, "contact": o.Contact, "where": where, "page": o.PageURL})
	return Notice{Lang: c.Lang, Text: text, Hash: hexSum([]byte(text))}
}

// Show renders the notice for those who answer by a record in their own repo, and keeps it, so that the record may name
// it by its hash.
func (d *Desk) Show(tx Tx, s identity.Subject, want string, needs []Scope) (Notice, error) {
	return keepText(tx, d.texts.notice(d.c.Operator, s, want, needs, "notice.record", "notice.more"))
}

// ShowForm is Show for a form on a page.
func (d *Desk) ShowForm(tx Tx, s identity.Subject, want string, needs []Scope) (Notice, error) {
	return keepText(tx, d.FormNotice(s, want, needs))
}

func keepText(tx Tx, n Notice) (Notice, error) {
	if err := tx.PutConsentText(n.Hash, n.Lang, n.Text); err != nil {
		return Notice{}, fmt.Errorf("keeping the text that is shown: %w", err)
	}
	return n, nil
}

// whereID names the other network of a subject.
func whereID(s identity.Subject) string {
	if strings.HasPrefix(string(s), "did:") {
		return "notice.where.at"
	}
	return "notice.where.ap"
}

// ScopeWords lists scopes in words; parts of the profile are not listed beside the whole.
func (t *Texts) ScopeWords(lang string, scopes []Scope) string {
	var words []string
	for _, i := range Scopes() {
		if slices.Contains(scopes, i.Name) && !strings.HasPrefix(string(i.Name), "profile.") {
			words = append(words, t.Say(lang, "scope."+string(i.Name), nil))
		}
	}
	if len(words) == 0 {
		return t.Say(lang, "receipt.nothing", nil)
	}
	return strings.Join(words, t.Say(lang, "list.comma", nil))
}

// StateWords says where somebody stands.
func (t *Texts) StateWords(lang string, s State) string { return t.Say(lang, "state."+string(s), nil) }

// IDs lists all sentences.
func (t *Texts) IDs() []string { return slices.Sorted(maps.Keys(t.byLang[English].Strings)) }
