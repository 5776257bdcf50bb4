package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"footbridge/bridge"
	"footbridge/bridge/translate"
	"footbridge/identity"
	"footbridge/identity/consent"
)

//go:embed templates/*.html style.css
var files embed.FS

// view is what a template sees.
type view struct {
	p    *Pages
	Lang string
	// ask is set when the language was asked for by name and must be carried along.
	ask   string
	Path  string
	Page  string
	Me    *session
	Next  string
	Error string

	Notice   consent.Notice
	Joined   bool
	State    consent.History
	Copy     string
	Rows     []sent
	Groups   []scopeGroup
	Options  []optionView
	Lives    []int
	Verified *consent.Verified
	Bad      string
	Token    string
	Facts    facts
	Try      *tryView
	Posts    []postRow
	Pair     *pairView
}

// sent is one line of what went where.
type sent struct {
	When, Kind, Result, Why string
	Link                    string
}

type scopeGroup struct {
	Title  string
	Scopes []scopeView
}

type scopeView struct {
	Name        consent.Scope
	Words, Warn string
	On          bool
}

type optionView struct {
	Name   consent.Option
	Words  string
	Values []optionValue
}

type optionValue struct {
	Value, Words string
	On           bool
}

// T says one sentence.
func (v *view) T(id string, pairs ...string) string {
	values := map[string]string{"name": v.p.Operator.Name, "runner": v.p.Operator.Runner, "contact": v.p.Operator.Contact, "bot": "@" + v.p.BotAcct,
		"bothandle": "@" + string(v.p.Bridge.BotHandle())}
	for i := 0; i+1 < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return v.isolate(v.p.Desk.Texts().Say(v.Lang, id, values))
}

// address is a name or a tag that begins with a sign; between words written from right to left the sign would go astray.
var address = regexp.MustCompile(`[@#][A-Za-z0-9][A-Za-z0-9._@-]*[A-Za-z0-9]`)

// isolate keeps addresses together from left to right (Unicode Bidirectional Algorithm, LRI and PDI).
func (v *view) isolate(s string) string {
	if v.Dir() == "ltr" {
		return s
	}
	return address.ReplaceAllString(s, "\u2066$0\u2069")
}

// Paras splits a text into paragraphs.
func (v *view) Paras(s string) []string { return strings.Split(s, "\n\n") }

// Dir is the direction of writing.
func (v *view) Dir() string {
	if v.Lang == "ar" {
		return "rtl"
	}
	return "ltr"
}

// Draft tells whether the language shown has not been reviewed.
func (v *view) Draft() bool { return !v.p.Desk.Texts().Match(v.Lang).Reviewed() }

// Link keeps the language that was asked for.
func (v *view) Link(path string) string {
	if v.ask == "" {
		return path
	}
	return path + "?lang=" + url.QueryEscape(v.ask)
}

// Langs lists the languages with their own names.
func (v *view) Langs() []optionValue {
	names := map[string]string{"en": "English", "es": "Español", "pt": "Português", "fr": "Français", "ar": "العربية", "ja": "日本語"}
	var out []optionValue
	for _, l := range v.p.Desk.Texts().Langs() {
		out = append(out, optionValue{l, names[l], l == v.Lang})
	}
	return out
}

// Has tells whether signing in with an AT account is set up.
func (v *view) HasAT() bool { return v.p.AT != nil }

// Words for a state, and for a date.
func (v *view) StateWords() string { return v.p.Desk.Texts().StateWords(v.Lang, v.State.State) }
func (v *view) ScopeWords() string { return v.p.Desk.Texts().ScopeWords(v.Lang, v.State.Scopes) }
func (v *view) Date(t time.Time) string {
	if t.IsZero() {
		return v.T("receipt.never")
	}
	return t.Format("2006-01-02")
}

// Is tells whether the state is one of those named.
func (v *view) Is(states ...string) bool { return slices.Contains(states, string(v.State.State)) }

func (p *Pages) lang(c echo.Context) string {
	want := c.QueryParam("lang")
	if want == "" {
		want = c.Request().Header.Get("Accept-Language")
	}
	return p.Desk.Texts().Match(want).Lang
}

func (p *Pages) withLang(c echo.Context, path string) string {
	if l := c.QueryParam("lang"); l != "" {
		return path + "?lang=" + url.QueryEscape(p.Desk.Texts().Match(l).Lang)
	}
	return path
}

func (p *Pages) view(c echo.Context) *view {
	v := &view{p: p, Lang: p.lang(c), Path: c.Request().URL.Path}
	if c.QueryParam("lang") != "" {
		v.ask = v.Lang
	}
	if s, err := p.session(c); err == nil {
		v.Me = s
	}
	return v
}

// render writes a page whole or not at all.
func (p *Pages) render(c echo.Context, status int, page string, v *view) error {
	t, err := template.New("layout.html").ParseFS(files, "templates/layout.html", "templates/shown.html", "templates/"+page+".html")
	if err != nil {
		return fmt.Errorf("reading the page %s: %w", page, err)
	}
	v.Page = page
	var out bytes.Buffer
	if err := t.Execute(&out, v); err != nil {
		return fmt.Errorf("rendering the page %s: %w", page, err)
	}
	c.Response().Header().Set("Content-Language", v.Lang)
	c.Response().Header().Add("Vary", "Accept-Language, Cookie")
	return c.HTMLBlob(status, out.Bytes())
}

func (p *Pages) page(name string) echo.HandlerFunc {
	return func(c echo.Context) error { return p.render(c, http.StatusOK, name, p.view(c)) }
}

// fail shows a page that says what to do.
func (p *Pages) fail(c echo.Context, status int, id string) error {
	v := p.view(c)
	v.Error = v.T(id)
	return p.render(c, status, "error", v)
}

// groups are the scopes for a form. Outside the preset nothing is ticked unless the person has ticked it (R6).
func (v *view) groups(on []consent.Scope) []scopeGroup {
	basic := scopeGroup{Title: v.T("page.agree.basic")}
	more := scopeGroup{Title: v.T("page.agree.more")}
	public := scopeGroup{Title: v.T("page.agree.public")}
	for _, i := range consent.Scopes() {
		s := scopeView{Name: i.Name, Words: v.T("scope." + string(i.Name)), On: slices.Contains(on, i.Name)}
		switch {
		case i.Warn:
			s.Warn = v.T("warn." + string(i.Name))
			public.Scopes = append(public.Scopes, s)
		case i.Minimal:
			basic.Scopes = append(basic.Scopes, s)
		default:
			more.Scopes = append(more.Scopes, s)
		}
	}
	return []scopeGroup{basic, more, public}
}

func (v *view) options(have consent.Options) []optionView {
	var out []optionView
	for _, o := range consent.OptionList() {
		ov := optionView{Name: o.Name, Words: v.T("option." + string(o.Name))}
		for _, val := range o.Values {
			ov.Values = append(ov.Values, optionValue{val, v.T("value." + val), have.Get(o.Name) == val})
		}
		out = append(out, ov)
	}
	return out
}

// rows tells what went where, and what did not and why.
func (v *view) rows(list []bridge.Outcome) []sent {
	var out []sent
	for _, o := range list {
		row := sent{When: o.At.UTC().Format("2006-01-02 15:04"), Kind: v.T("kind." + o.Kind), Result: v.T("result." + o.Result)}
		if row.Kind == "" {
			row.Kind = o.Kind
		}
		row.Why = v.why(o)
		if u, err := url.Parse(o.Source); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
			row.Link = o.Source
		}
		out = append(out, row)
	}
	return out
}

// why says in words what the reason of an outcome means; for what was carried, the reasons are what it lost on the way.
func (v *view) why(o bridge.Outcome) string {
	if words := translate.DropReason(o.Reason).Text(); words != "" {
		return words
	}
	if o.Result == "dropped" && slices.Contains(consent.Reasons(), consent.Reason(o.Reason)) {
		return v.T("refused."+o.Reason, "page", v.p.BaseURL+"/me")
	}
	return strings.ReplaceAll(strings.ReplaceAll(o.Reason, "_", " "), ",", ", ")
}

func subjectAccount(tx bridge.Tx, s identity.Subject) *identity.Account {
	acc, err := tx.AccountBySubject(s)
	if err != nil {
		return nil // no account, no copy to name
	}
	return acc
}
