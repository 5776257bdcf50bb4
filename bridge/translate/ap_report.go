package translate

import "strings"

// Limits of com.atproto.moderation.createReport#reason.
const maxReason, maxReasonBytes = 2000, 20_000

// maxSubjects bounds the reports that one Flag makes.
const maxSubjects = 20

// flag becomes a report for each post it names; if it names none, for each account. Flags come from a server's own
// actor, so that nobody learns who reported; the sender need not have joined, and is not named (R47).
func (j *apJob) flag() {
	j.actorID = j.doc.RefOf("actor")
	if _, own := ParseOwnID(j.c.Domain, j.actorID); own {
		j.drop(DropLoop)
		return
	}
	var posts, accounts []map[string]any
	for _, id := range j.targets() {
		if did, _ := j.personByHref(id); did != "" {
			accounts = append(accounts, map[string]any{"$type": "com.atproto.admin.defs#repoRef", "did": did})
			continue
		}
		if ref, ok := j.strongRef(id); ok {
			posts = append(posts, map[string]any{"$type": "com.atproto.repo.strongRef", "uri": ref.URI, "cid": ref.CID})
			continue
		}
		j.lose(LossReportSubjects, "")
	}
	subjects := posts
	if len(subjects) == 0 {
		subjects = accounts
	}
	if len(subjects) == 0 {
		j.drop(DropUnknownTarget)
		return
	}
	reason := j.reason()
	for _, s := range subjects[:min(len(subjects), maxSubjects)] {
		r := map[string]any{"reasonType": "com.atproto.moderation.defs#reasonOther", "subject": s}
		if reason != "" {
			r["reason"] = reason
		}
		j.out.Reports = append(j.out.Reports, r)
	}
}

// reason is the text of the report and the server it came from.
func (j *apJob) reason() string {
	via := ""
	if h := hostOf(j.actorID); h != "" {
		via = "(via " + h + ")"
	}
	text := j.doc.Text("content")
	if text == "" {
		text = j.doc.Text("summary")
	}
	text = strings.ReplaceAll(plainHTML(text), j.actorID, "")
	text, cut := cutText(text, maxReason-len(via)-2, maxReasonBytes-len(via)-2)
	if cut {
		j.lose(LossReportShortened, "")
	}
	return strings.TrimSpace(text + "\n\n" + via)
}
