package translate

import "strings"

// noticeLines are the words that the bridge itself puts into a document on the AP side, in one language.
type noticeLines struct {
	quoteNotShared string
	porn, sexual   string
	nudity         string
	graphic, warn  string
	website        string
	pronouns       string
	account        string // the field that names the native account
	bridge         string // the field that names the bridge
	readOn         string // the link under an article that is carried as a summary
}

var noticesByLanguage = map[string]*noticeLines{
	"en": {
		"quoted a post that is not shared here", "Adult content (porn)", "Sexually suggestive", "Nudity", "Graphic media",
		"Content warning", "Website", "Pronouns", "Bluesky", "Bridged by", "Read on",
	},
	"de": {
		"zitierte einen Beitrag, der hier nicht geteilt wird", "Nicht jugendfrei (Porno)", "Sexuell anzüglich", "Nacktheit",
		"Verstörende Medien", "Inhaltswarnung", "Website", "Pronomen", "Bluesky", "Überbrückt von", "Weiterlesen",
	},
	"fr": {
		"a cité un message qui n’est pas partagé ici", "Contenu pour adultes (porno)", "À caractère sexuel", "Nudité",
		"Contenu choquant", "Avertissement", "Site web", "Pronoms", "Bluesky", "Relayé par", "Lire la suite",
	},
	"es": {
		"citó una publicación que no está compartida aquí", "Contenido adulto (porno)", "Sexualmente sugerente", "Desnudez",
		"Contenido gráfico", "Advertencia de contenido", "Sitio web", "Pronombres", "Bluesky", "Puente por", "Leer más",
	},
	"pt": {
		"citou uma publicação que não é partilhada aqui", "Conteúdo adulto (pornografia)", "Sexualmente sugestivo", "Nudez",
		"Conteúdo gráfico", "Aviso de conteúdo", "Site", "Pronomes", "Bluesky", "Ponte por", "Ler mais",
	},
	"it": {
		"ha citato un post che non è condiviso qui", "Contenuto per adulti (porno)", "Sessualmente allusivo", "Nudità",
		"Contenuto esplicito", "Avviso sul contenuto", "Sito web", "Pronomi", "Bluesky", "Collegato da", "Continua a leggere",
	},
	"nl": {
		"citeerde een bericht dat hier niet wordt gedeeld", "Inhoud voor volwassenen (porno)", "Seksueel getint", "Naaktheid",
		"Schokkende beelden", "Inhoudswaarschuwing", "Website", "Voornaamwoorden", "Bluesky", "Overbrugd door", "Verder lezen",
	},
	"ja": {
		"ここでは共有されていない投稿を引用", "成人向け（ポルノ）", "性的な表現", "ヌード", "刺激の強いメディア",
		"閲覧注意", "ウェブサイト", "代名詞", "Bluesky", "ブリッジ", "続きを読む",
	},
}

// noticesIn gives the lines of a language, by its primary subtag; English is the fallback.
func noticesIn(language string) *noticeLines {
	primary, _, _ := strings.Cut(strings.ToLower(language), "-")
	if l, ok := noticesByLanguage[primary]; ok {
		return l
	}
	return noticesByLanguage["en"]
}
