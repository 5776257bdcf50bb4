package translate

import "strings"

// apLines are the words that the bridge itself puts into a record, in one language. Verbs with a host or name take it
// behind themselves, so that no language needs a grammar here.
type apLines struct {
	quoteNotShared string // stands in brackets for a quote that is left out
	readOn         string // title of the card that leads to the whole post: "<readOn> host"
	bridgedFrom    string // in a profile: "<bridgedFrom> address"
	movedTo        string // in a profile: "<movedTo> address"
	poll           string // title of the card of a poll
	pollEnds       string // "<pollEnds> date"
	pollClosed     string
	when           string // label of an event's time
	where          string // label of an event's place
	cancelled      string
	image          string // label of a file that could not be carried: "[image: alt]"
	video          string
	audio          string
	warning        string // label of a content warning that stands alone
}

var apLinesByLanguage = map[string]*apLines{
	"en": {
		"quoted a post that is not shared here", "Continue reading on", "bridged from", "moved to", "Poll", "Poll ends", "Poll closed",
		"When", "Where", "cancelled", "image", "video", "audio", "CW",
	},
	"de": {
		"zitierte einen Beitrag, der hier nicht geteilt wird", "Weiterlesen auf", "überbrückt von", "umgezogen nach", "Umfrage",
		"Umfrage endet", "Umfrage beendet", "Wann", "Wo", "abgesagt", "Bild", "Video", "Audio", "CW",
	},
	"fr": {
		"a cité un message qui n’est pas partagé ici", "Lire la suite sur", "relayé depuis", "a déménagé vers", "Sondage",
		"Fin du sondage", "Sondage clos", "Quand", "Où", "annulé", "image", "vidéo", "audio", "CW",
	},
	"es": {
		"citó una publicación que no se comparte aquí", //nolint:misspell // Spanish
		"Seguir leyendo en", "puente desde", "se mudó a", "Encuesta",
		"La encuesta termina", "Encuesta cerrada", "Cuándo", "Dónde", "cancelado", "imagen", "vídeo", "audio", "CW",
	},
	"pt": {
		"citou uma publicação que não é partilhada aqui", "Continuar a ler em", "ponte de", "mudou-se para", "Enquete",
		"A enquete termina", "Enquete encerrada", "Quando", "Onde", "cancelado", "imagem", "vídeo", "áudio", "CW",
	},
	"it": {
		"ha citato un post che non è condiviso qui", "Continua a leggere su", "collegato da", "si è trasferito su", "Sondaggio",
		"Il sondaggio termina", "Sondaggio chiuso", "Quando", "Dove", "annullato", "immagine", "video", "audio", "CW",
	},
	"nl": {
		"citeerde een bericht dat hier niet wordt gedeeld", "Verder lezen op", "overbrugd van", "verhuisd naar", "Peiling",
		"Peiling eindigt", "Peiling gesloten", "Wanneer", "Waar", "geannuleerd", "afbeelding", "video", "audio", "CW",
	},
	"ja": {
		"ここでは共有されていない投稿を引用", "続きを読む:", "ブリッジ元:", "移転先:", "投票", "投票締切", "投票終了", "日時", "場所",
		"中止", "画像", "動画", "音声", "CW",
	},
}

// apLinesIn gives the lines of a language, by its primary subtag; English is the fallback.
func apLinesIn(language string) *apLines {
	if language == "" {
		return apLinesByLanguage["en"]
	}
	primary, _, _ := strings.Cut(strings.ToLower(language), "-")
	if l, ok := apLinesByLanguage[primary]; ok {
		return l
	}
	return apLinesByLanguage["en"]
}
