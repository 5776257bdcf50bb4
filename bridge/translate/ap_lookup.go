package translate

import "sort"

// person looks somebody up by actor id, by own id or by DID.
func (j *apJob) person(id string) (Actor, bool) {
	j.want(refActors, id)
	if a, ok := j.c.Actors[id]; ok {
		return a, true
	}
	return Actor{}, false
}

// strongRef finds the record that stands for an AP object: by id, by own id, or by its page on bsky.app.
func (j *apJob) strongRef(id string) (StrongRef, bool) {
	if id == "" {
		return StrongRef{}, false
	}
	j.want(refObjects, id)
	if r, ok := j.c.Objects[id]; ok && r.URI != "" && r.CID != "" {
		return r, true
	}
	var uri string
	if own, ok := ParseOwnID(j.c.Domain, id); ok && own.Activity == "" && own.Part == "" {
		uri = own.URI()
	} else {
		uri = j.pageURI(id)
	}
	if uri == "" {
		return StrongRef{}, false
	}
	j.want(refURIs, uri)
	j.wantGates(uri)
	if r, ok := j.objectByURI(uri); ok {
		return r, true
	}
	did, _, _, _ := SplitURI(uri)
	if r, ok := j.c.Records[uri]; ok && r.CID != "" && j.joinedDID(did) {
		return StrongRef{uri, r.CID}, true
	}
	return StrongRef{}, false
}

// wantGates notes the gates of a post that may be answered or quoted.
func (j *apJob) wantGates(uri string) {
	did, collection, rkey, ok := SplitURI(uri)
	if ok && j.collecting() && collection == nsidPost {
		j.want(refRecords, "at://"+did+"/"+nsidThreadgate+"/"+rkey)
		j.want(refRecords, "at://"+did+"/"+nsidPostgate+"/"+rkey)
	}
}

func (j *apJob) objectByURI(uri string) (StrongRef, bool) {
	if own, ok := j.c.Objects[ObjectID(j.c.Domain, uri, 1)]; ok && own.URI == uri {
		return own, true
	}
	var ids []string
	for id, r := range j.c.Objects {
		if r.URI == uri && r.CID != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return StrongRef{}, false
	}
	sort.Strings(ids)
	return j.c.Objects[ids[0]], true
}

// refKind is a list of Refs.
type refKind uint8

const (
	refActors refKind = iota
	refDIDs
	refHandles
	refObjects
	refURIs
	refParents
	refLinks
	refAccts
	refRecords // and URIs
)

// want notes a look-up once, while collecting.
func (j *apJob) want(k refKind, id string) {
	if j.refs == nil || id == "" || len(j.seen) > 4096 {
		return
	}
	if k == refURIs || k == refRecords {
		if _, _, _, ok := SplitURI(id); !ok {
			return // of a repo that is known only when its owner is
		}
	}
	if k == refRecords {
		j.want(refURIs, id)
	}
	key := string(rune('0'+k)) + id
	if j.seen[key] {
		return
	}
	j.seen[key] = true
	r := j.refs
	list := [...]*[]string{&r.Actors, &r.DIDs, &r.Handles, &r.Objects, &r.URIs, &r.Parents, &r.Links, &r.Accts, &r.Records}[k]
	*list = append(*list, id)
}
