package translate

// LossKind names something that could not be carried across. The list is closed (see lossInfo): the document of what
// gets lost is made from it.
type LossKind string

// Loss is one thing that could not be carried. Detail is for the author's own page and never logged.
type Loss struct {
	Kind   LossKind `json:"kind"`
	Detail string   `json:"detail,omitempty"`
}

// What gets lost on the way from the fediverse.
const (
	LossMentionNotJoined LossKind = "mention_not_joined"
	LossQuoteNotShared   LossKind = "quote_not_shared"
	LossTextShortened    LossKind = "text_shortened"
	LossThreadTooLong    LossKind = "thread_too_long"
	LossFormatting       LossKind = "formatting"
	LossTable            LossKind = "table_layout"
	LossInlineImage      LossKind = "inline_image"
	LossCustomEmoji      LossKind = "custom_emoji"
	LossTagTooLong       LossKind = "tag_too_long"
	LossTagsOverLimit    LossKind = "tags_over_limit"
	LossLangsOverLimit   LossKind = "langs_over_limit"
	LossOtherLanguages   LossKind = "other_language_versions"
	LossLangUnusable     LossKind = "language_unusable"
	LossImagesOverLimit  LossKind = "images_over_limit"
	LossMediaUnavailable LossKind = "media_unavailable"
	LossMediaMixed       LossKind = "media_mixed"
	LossAudio            LossKind = "audio_as_link"
	LossMediaKind        LossKind = "media_kind"
	LossFocalPoint       LossKind = "focal_point"
	LossAltShortened     LossKind = "alt_shortened"
	LossLinkCard         LossKind = "link_card"
	LossLinkScheme       LossKind = "link_scheme"
	LossContentWarning   LossKind = "content_warning_flag"
	LossDateReplaced     LossKind = "date_replaced"
	LossPoll             LossKind = "poll_not_votable"
	LossPollOptions      LossKind = "poll_options"
	LossEventDetail      LossKind = "event_detail"
	LossArticleBody      LossKind = "article_body"
	LossReaction         LossKind = "reaction_emoji"
	LossReplyPolicy      LossKind = "reply_policy"
	LossProfileField     LossKind = "profile_field"
	LossNameShortened    LossKind = "name_shortened"
	LossBioShortened     LossKind = "bio_shortened"
	LossMoved            LossKind = "moved_account"
	LossPinned           LossKind = "pinned_post"
	LossReportSubjects   LossKind = "report_subjects"
	LossReportShortened  LossKind = "report_shortened"
	LossOtherParents     LossKind = "other_parents"
	LossPlace            LossKind = "place"
)

// What gets lost on the way to the fediverse. Several of the kinds above are lost this way too.
const (
	LossControlCharacters LossKind = "control_characters"
	LossFacet             LossKind = "facet_unusable"
	LossLinkNotShared     LossKind = "link_not_shared"
	LossLabel             LossKind = "label_unknown"
	LossCaptions          LossKind = "captions"
	LossCardDetail        LossKind = "card_detail"
	LossEmbed             LossKind = "embed_unknown"
	LossHiddenReplies     LossKind = "hidden_replies"
	LossQuoteNotBridged   LossKind = "quote_as_link"
	LossQuoteNotAllowed   LossKind = "quote_not_allowed"
)

// lossText describes a kind and shows one example.
type lossText struct{ what, example string }

// lossInfo is the closed list.
var lossInfo = map[LossKind]lossText{
	LossMentionNotJoined: {
		"Somebody is mentioned who did not join. Only the bare name stays: no link, no server.",
		"`@zed@remote.example` becomes `@zed`",
	},
	LossQuoteNotShared: {
		"A post is quoted whose author did not join, or which was never bridged. The quote and its address are left out.",
		"the quote becomes the line \"(quoted a post that is not shared here)\"",
	},
	LossTextShortened: {
		"The text is longer than the other side allows and is cut at a word, with a card that leads to the whole.",
		"a post of 500 characters ends in \"…\" and shows a card of the original",
	},
	LossThreadTooLong: {
		"The author chose threads, and even ten parts do not hold the text. The last part leads to the whole.",
		"a post of 4,000 characters ends in part 10/10 with a link",
	},
	LossFormatting: {
		"Bold, italic, headings and colours have no form in a text with facets; their words stay.",
		"`<b>now</b>` becomes `now`",
	},
	LossTable: {"A table is shown as lines with cells divided by bars.", "`a | b`"},
	LossInlineImage: {
		"A picture inside the text becomes its alternative text, or nothing if it has none.",
		"`<img alt=\"a cat\">` becomes `a cat`",
	},
	LossCustomEmoji: {"A server's own emoji is shown as its shortcode.", "`:blobcat:`"},
	LossTagTooLong:  {"A hashtag of more than 64 characters cannot be a tag; in the text it stays as text.", "a tag of 72 characters"},
	LossTagsOverLimit: {
		"No more than eight tags may stand beside the text.",
		"the ninth hashtag that is not in the text",
	},
	LossLangsOverLimit: {"No more than three languages may be named.", "a post marked with five languages"},
	LossOtherLanguages: {
		"The post has versions in several languages; the one its author shows first is taken.",
		"`contentMap` with `en` and `fr`",
	},
	LossLangUnusable: {"The language given is not a language tag.", "`contentMap` with the key `und-x!`"},
	LossImagesOverLimit: {
		"More pictures than the other side takes; the rest is behind the link to the original.",
		"the 21st picture of an album",
	},
	LossMediaUnavailable: {
		"A file could not be fetched, or is too large or of a kind that is not allowed; the post links to the original.",
		"a video of 400 MB",
	},
	LossMediaMixed: {
		"One post shows pictures or one video, not both, and not two videos; the rest is behind the link to the original.",
		"a video beside two pictures",
	},
	LossAudio:      {"There is no sound player on the other side; the post links to the original.", "an episode of a podcast"},
	LossMediaKind:  {"A file of a kind the other side does not show becomes a link.", "an attached PDF"},
	LossFocalPoint: {"The point around which a picture is cropped has no counterpart.", "`focalPoint: [0.2, -0.4]`"},
	LossAltShortened: {
		"The description of a video is longer than allowed and is cut; its whole is at the original.",
		"a description of 1,500 characters",
	},
	LossLinkCard:   {"Only one card can be shown. The first is taken; other links stay in the text.", "a second link with a preview"},
	LossLinkScheme: {"An address that a browser should not open from a post stays as text without a link.", "`javascript:alert(1)`"},
	LossContentWarning: {
		"The warning's words are put above the text; the other side cannot fold a text away.",
		"`[food]` in the first line",
	},
	LossDateReplaced: {"The date was missing, unreadable or in the future; the time of bridging is taken.", "`published: \"yesterday\"`"},
	LossPoll:         {"A poll is shown as text with its options and a link; votes are cast at the original.", "options as lines of a list"},
	LossPollOptions:  {"Not all options of a poll fit; the rest is behind the link.", "a poll of 20 long options"},
	LossEventDetail:  {"Details of an event without a counterpart: number of places, categories, who organises it.", "`maximumAttendeeCapacity`"},
	LossArticleBody: {
		"The body of a long article is not shown in the post: it has a summary and a card, and a document record with the plain text.",
		"a blog post of 3,000 words",
	},
	LossReaction: {"A reaction with an emoji becomes a plain like.", "🎉 becomes a like"},
	LossReplyPolicy: {
		"A rule of who may reply or quote that the other side cannot express is made stricter, never looser.",
		"only people followed by a certain list may reply",
	},
	LossProfileField:    {"Profile fields that do not fit the description are left out.", "`Garden: yes` on a profile with a long text"},
	LossNameShortened:   {"The display name is longer than 64 characters.", "a name of 100 characters"},
	LossBioShortened:    {"The description is longer than 256 characters, of which one line says where the account is bridged from.", "a text of 500 characters"},
	LossMoved:           {"The account has moved to another server; the profile says so, followers are not moved.", "`movedTo`"},
	LossPinned:          {"Only one post can be pinned, and only one that was bridged.", "the second pinned post"},
	LossReportSubjects:  {"Each reported thing becomes a report of its own; things that were never bridged are left out.", "a report about a local post"},
	LossReportShortened: {"The words of a report are longer than 2,000 characters.", "a report of 5,000 characters"},
	LossOtherParents:    {"A post answers several posts; the first that was bridged becomes its parent.", "`inReplyTo` with three addresses"},
	LossPlace:           {"The place attached to a post is not carried.", "`location: Berlin`"},

	LossControlCharacters: {"Control characters, which cannot be seen, are left out: documents and databases do not take them.", "U+0000"},
	LossFacet: {
		"A facet whose range is empty, splits a character or overlaps another, or that says something unknown; its text stays.",
		"two links over the same word: the first stays",
	},
	LossLinkNotShared: {
		"The address of a post whose author did not join stays text: no link that servers would unfold into a card.",
		"`https://bsky.app/profile/…/post/…` without a link",
	},
	LossLabel:    {"A label whose meaning is not known; nothing is guessed from it.", "the self-label `spoiler`"},
	LossCaptions: {"Captions of a video have no counterpart; the description stays.", "a WebVTT file in English"},
	LossCardDetail: {
		"The description and picture of a link card: servers make their own card of the link.",
		"the card becomes a link with its title",
	},
	LossEmbed:           {"Something embedded that has no form on the other side.", "a kind of embed that is newer than the bridge"},
	LossHiddenReplies:   {"Replies that the author hid are hidden only where they were hidden.", "`hiddenReplies` of a threadgate"},
	LossQuoteNotAllowed: {"The author of a quoted post allows no quotes; it becomes a link.", "`canQuote` names only the author"},
	LossQuoteNotBridged: {
		"A quoted post that was never bridged, of somebody who joined, becomes a link.",
		"a post from before its author joined",
	},
}

// LossKinds lists every kind; the order is not stable.
func LossKinds() []LossKind {
	out := make([]LossKind, 0, len(lossInfo))
	for k := range lossInfo {
		out = append(out, k)
	}
	return out
}

// Describe says what a kind means and gives an example.
func (k LossKind) Describe() (what, example string) {
	t := lossInfo[k]
	return t.what, t.example
}
