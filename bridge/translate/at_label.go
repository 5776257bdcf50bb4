package translate

import "strings"

// labels maps self-labels to sensitive and a content warning in the author's language. A label that is not known is not
// guessed at.
func (n *note) labels() DropReason {
	var warnings []string
	sensitive := false
	for _, v := range n.rec.selfLabels() {
		switch v {
		case "!no-unauthenticated":
			return DropLoggedInOnly // the fediverse shows public posts to everybody
		case "!hide", "!takedown", "!suspend":
			return DropByChoice
		}
		words, known := n.warning(v)
		if !known {
			n.lose(LossLabel, v)
			continue
		}
		sensitive = true
		if !strings.Contains(strings.Join(warnings, ", "), words) {
			warnings = append(warnings, words)
		}
	}
	n.doc["sensitive"] = sensitive
	if len(warnings) > 0 {
		n.doc["summary"] = strings.Join(warnings, ", ")
	}
	return None
}

// warning names a label of com.atproto.label.defs#labelValue, and those of before 2024.
func (j *atJob) warning(label string) (string, bool) {
	switch label {
	case "porn":
		return j.lines.porn, true
	case "sexual":
		return j.lines.sexual, true
	case "nudity":
		return j.lines.nudity, true
	case "graphic-media", "gore", "nsfl", "corpse", "self-harm", "torture":
		return j.lines.graphic, true
	case "!warn", "nsfw":
		return j.lines.warn, true
	}
	return "", false
}
