package translate

import (
	"footbridge/activitypub/as2"
	"strings"
)

// maxLangs of app.bsky.feed.post#langs.
const maxLangs = 3

// content is the text of an object and the languages it is in. The plain form counts; where it is missing, the first
// version of the map does. Languages are those whose version is the same text.
func (j *apJob) content(o *as2.Value) (text string, langs []string) {
	text = o.Text("content")
	versions := o.LangMap("content")
	if text == "" && len(versions) > 0 {
		text = versions[0].Text
	}
	others := false
	for _, v := range versions {
		if v.Text == text || len(versions) == 1 {
			langs = append(langs, v.Lang)
		} else {
			others = true
		}
	}
	if others && len(langs) == 0 {
		langs = sameWords(text, versions)
	}
	if others {
		j.lose(LossOtherLanguages, "")
	}
	if len(versions) == 0 {
		langs = j.fallbackLangs(o)
	}
	langs = j.usableLangs(langs)
	if j.c.Options.Language == "" && len(langs) > 0 {
		// Lines of the bridge's own are in the language of the post, if the author has not chosen another.
		j.lines = apLinesIn(langs[0])
	}
	return text, langs
}

// sameWords are the languages of the versions that say the same with other markup.
func sameWords(text string, versions []as2.LangText) []string {
	var out []string
	want := plainHTML(text)
	for _, v := range versions[:min(len(versions), 8)] {
		if plainHTML(v.Text) == want {
			out = append(out, v.Lang)
		}
	}
	return out
}

// fallbackLangs are where servers without a contentMap say the language: Lemmy and PeerTube as an object, Mobilizon as
// inLanguage, JSON-LD in the context.
func (j *apJob) fallbackLangs(o *as2.Value) []string {
	for _, v := range [...]string{
		o.Get("language").Get("identifier").Str(), o.Get("language").Str(), o.Get("inLanguage").Str(),
		o.Get("content").First().Get("@language").Str(), o.Language(), j.doc.Language(),
	} {
		if v != "" {
			return []string{v}
		}
	}
	return nil
}

func (j *apJob) usableLangs(in []string) []string {
	var out []string
	for _, l := range in {
		tag, ok := languageTag(l)
		switch {
		case !ok && tag != "und":
			j.lose(LossLangUnusable, l)
		case !ok, contains(out, tag):
		case len(out) == maxLangs:
			j.lose(LossLangsOverLimit, tag)
		default:
			out = append(out, tag)
		}
	}
	return out
}

// languageTag brings a tag into the form of the lexicon (BCP 47, language in lower case). Codes for "none of these",
// "several" and "unknown" are no language.
func languageTag(s string) (string, bool) {
	s = strings.ReplaceAll(strings.TrimSpace(s), "_", "-")
	primary, rest, sub := strings.Cut(s, "-")
	primary = strings.ToLower(primary)
	switch primary {
	case "und", "mul", "zxx", "mis", "":
		return "und", false
	}
	if n := len(primary); n < 2 && primary != "i" || n > 3 || len(s) > 35 || !letters(primary) {
		return s, false
	}
	if !sub {
		return primary, true
	}
	for _, part := range strings.Split(rest, "-") {
		if part == "" || !alnum(part) {
			return primary, len(primary) > 1
		}
	}
	return primary + "-" + rest, true
}

func letters(s string) bool {
	for i := range len(s) {
		if s[i]|0x20 < 'a' || s[i]|0x20 > 'z' {
			return false
		}
	}
	return true
}

func alnum(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
