package consent

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Word is a command to the bot.
type Word string

// The commands. WordNone is a message that is none of them; it is answered kindly and changes nothing.
const (
	WordNone   Word = ""
	WordHelp   Word = "help"
	WordYes    Word = "yes"
	WordNo     Word = "no"
	WordStop   Word = "stop"
	WordPause  Word = "pause"
	WordResume Word = "resume"
	WordStatus Word = "status"
	WordScopes Word = "scopes"
	WordExport Word = "export"
	WordPanic  Word = "panic"
)

// Command is what a message asks for. Code is set for a yes that repeats the notice's code.
type Command struct {
	Word Word
	All  bool
	Code string
}

// vocabulary lists the words in all languages of the catalogues. They are understood whatever language was set, and
// never clash.
func vocabulary() map[Word][]string {
	return map[Word][]string{
		WordHelp:   {"help", "info", "?", "ayuda", "ajuda", "aide", "مساعدة", "ヘルプ", "助けて", "使い方"},
		WordYes:    {"yes", "sí", "sim", "oui", "نعم", "はい"},
		WordNo:     {"no", "não", "non", "لا", "いいえ"},
		WordStop:   {"stop", "parar", "pare", "detener", "basta", "arrêter", "arrêt", "توقف", "أوقف", "停止", "やめる", "ストップ"},
		WordPause:  {"pause", "pausa", "pausar", "تعليق", "一時停止"},
		WordResume: {"resume", "reanudar", "continuar", "retomar", "reprendre", "استئناف", "再開"},
		WordStatus: {"status", "estado", "situação", "statut", "état", "الحالة", "حالة", "状態"},
		WordScopes: {"scopes", "permisos", "permissões", "permissions", "autorisations", "الأذونات", "أذونات", "権限", "範囲"},
		WordExport: {"export", "exportar", "exporter", "تصدير", "エクスポート"},
		WordPanic:  {"panic", "pánico", "pânico", "panique", "ذعر", "طوارئ", "パニック", "緊急"},
	}
}

func allWords() []string {
	return []string{"all", "todo", "todos", "tudo", "tout", "الكل", "للكل", "كل", "すべて", "全部", "全て"}
}

// courtesies may stand around a command.
func courtesies() []string {
	return []string{"please", "now", "thanks", "thank", "you", "por", "favor", "gracias", "obrigado", "obrigada", "merci", "svp",
		"من", "فضلك", "شكرا", "お願いします", "ください"}
}

// maxCommand: a longer message is a conversation, not a command.
const maxCommand = 12

// ParseCommand reads a message, as plain text or HTML. It is strict where an error would do harm: yes and stop must stand
// alone, so that "yes but not my likes" and "don't stop" are conversations. Panic may shout.
func ParseCommand(text, _ string) Command {
	words := commandWords(text)
	if len(words) == 0 || len(words) > maxCommand {
		return Command{}
	}
	first, rest := wordOf(words[0]), words[1:]
	switch {
	case first == WordPanic:
		return Command{Word: first}
	case first == WordYes:
		return parseYes(rest)
	case len(rest) > 0:
		return Command{}
	}
	return Command{Word: first}
}

func parseYes(rest []string) Command {
	c := Command{Word: WordYes}
	for _, w := range rest {
		switch {
		case !c.All && slices.ContainsFunc(allWords(), func(a string) bool { return fold1(a) == w }):
			c.All = true
		case c.Code == "" && isCode(strings.ToUpper(w)):
			c.Code = strings.ToUpper(w)
		default:
			return Command{}
		}
	}
	return c
}

func isCode(w string) bool {
	return len(w) == codeLength && strings.Trim(w, codeAlphabet) == ""
}

func wordOf(w string) Word {
	for word, names := range vocabulary() {
		if slices.ContainsFunc(names, func(n string) bool { return fold1(n) == w }) {
			return word
		}
	}
	return WordNone
}

// commandWords are the folded words of a message without mentions, courtesies and punctuation.
func commandWords(text string) []string {
	text = mention.ReplaceAllString(plain(text), " ")
	words := strings.FieldsFunc(fold1(text), func(r rune) bool {
		return r != '?' && (unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) || unicode.IsControl(r))
	})
	words = slices.DeleteFunc(words, func(w string) bool {
		return slices.ContainsFunc(courtesies(), func(c string) bool { return fold1(c) == w })
	})
	return splitJapanese(words)
}

// mention is @bot or @bot@host at any place; hosts may have a port on test machines.
var mention = regexp.MustCompile(`@\s?[\p{L}\p{N}_.\-]+(@[\p{L}\p{N}.\-]+(:\d+)?)?`)

// splitJapanese parts words that are written together, as in はいすべて.
func splitJapanese(words []string) []string {
	if len(words) == 0 {
		return words
	}
	hai := fold1("はい")
	if rest, ok := strings.CutPrefix(words[0], hai); ok && rest != "" {
		return append([]string{hai, rest}, words[1:]...)
	}
	return words
}

// fold1 makes spellings of one word equal: lower case, no accents, no vowel signs.
func fold1(s string) string {
	s = norm.NFKD.String(strings.ToLower(s))
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) || r == 'ـ' { // tatweel only stretches
			return -1
		}
		return r
	}, s)
	return norm.NFC.String(s)
}
