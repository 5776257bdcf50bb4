package translate

import (
	"footbridge/activitypub/as2"
	"strings"
	"unicode"
)

// warning is the text of a content warning, "" if there is none. On a Note or Question a summary is a warning; on an
// Article, Event or Video it is an abstract. Misskey writes a zero-width space for "folded, without words".
func (j *apJob) warning(o *as2.Value) string {
	warns := o.Is("Note", "Question", "Comment", "Quotation", "Review", "Image") || o.Is("Video", "Audio") && sensitive(o)
	if !warns {
		return ""
	}
	s := plainHTML(o.Text("summary"))
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '\u200b' })
}

func sensitive(o *as2.Value) bool { return o.Get("sensitive").First().Bool() }

// labels are the self-labels of a post. Only media is labelled: text is not, because a label says "adult" and the
// subject of a warning may be somebody's health or identity. What kind is taken from plain words in the warning; where
// they say nothing, the mildest label that hides a picture is used, and none where the warning names an everyday topic.
func (j *apJob) labels(o *as2.Value, media bool) map[string]any {
	if !media {
		return nil
	}
	words := labelWords(j.warning(o) + " " + o.Text("summary"))
	val := adultLabel(words)
	if val == "" {
		if !sensitive(o) || everyday(words) {
			return nil
		}
		val = "graphic-media"
	}
	return selfLabels(val)
}

func selfLabels(val string) map[string]any {
	return map[string]any{"$type": "com.atproto.label.defs#selfLabels", "values": []any{map[string]any{"val": val}}}
}

func labelWords(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '+' })
}

// adultLabel finds what a warning says outright. Words are compared whole, and a word of sexuality that stands beside
// one of health, rights or violence says nothing about the picture.
func adultLabel(words []string) string {
	val, talk, context := "", false, false
	for _, w := range words {
		switch w {
		case "mention", "mentions", "mentioned", "discussion", "talk", "ban", "law", "politics", "addiction":
			talk = true
		case "health", "education", "ed", "assault", "abuse", "abused", "violence", "harassment", "trafficking", "orientation", "identity",
			"rights", "worker", "workers", "work", "dysphoria", "positivity", "gesundheit", "missbrauch", "santé", "salud":
			context = true
		}
		if l := adultWord(w); labelRank(l) > labelRank(val) {
			val = l
		}
	}
	if talk || context && val != "porn" {
		return ""
	}
	return val
}

// adultWord is the label that a single word asks for.
func adultWord(w string) string {
	switch w {
	case "nsfw", "porn", "porno", "pornography", "hentai", "xxx", "18+", "r18", "成人向け":
		return "porn"
	case "lewd", "lewds", "suggestive", "sexual", "erotic", "erotica", "erotik", "ecchi", "sexy":
		return "sexual"
	case "nude", "nudes", "nudity", "nudité", "naked", "nackt", "nacktheit", "desnudo", "desnudez", "boobs", "topless":
		return "nudity"
	case "gore", "nsfl", "blood", "corpse", "wound", "wounds", "injury", "graphic", "blut", "sang", "sangre":
		return "graphic-media"
	}
	return ""
}

func labelRank(l string) int {
	return map[string]int{"graphic-media": 1, "nudity": 2, "sexual": 3, "porn": 4}[l]
}

// everyday tells whether a warning names a topic that people warn of out of kindness, which says nothing of what a
// picture shows to a reader of the other network.
func everyday(words []string) bool {
	for _, w := range words {
		switch w {
		case "food", "eye", "ec", "alcohol", "drinks", "politics", "pol", "uspol", "ukpol", "spoiler", "spoilers", "mh", "mental", "health",
			"depression", "anxiety", "medical", "medication", "meds", "covid", "pregnancy", "lgbt", "lgbtq", "lgbtqia", "queer", "gay", "lesbian",
			"trans", "transgender", "gender", "dysphoria", "disability", "autism", "adhd", "weight", "diet", "selfie", "face", "faces", "pets",
			"dog", "dogs", "cat", "cats", "bugs", "insects", "spider", "spiders", "snake", "snakes", "religion", "birthsite", "twitter", "work",
			"school", "money", "caps", "long", "meta", "sports", "football", "weather", "essen", "politik", "nourriture", "comida":
			return true
		}
	}
	return false
}
