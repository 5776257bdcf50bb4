package memlane

// chunk is how many elements grow at once.
const chunk = 4096

// slab holds elements by index; it grows without copying and reuses what was freed. Index 0 is never given out.
type slab[T any] struct {
	chunks [][]T
	n      uint32
	unused []uint32
}

func (s *slab[T]) take(v T) uint32 {
	if k := len(s.unused); k > 0 {
		at := s.unused[k-1]
		s.unused = s.unused[:k-1]
		*s.at(at) = v
		return at
	}
	s.n++
	if int(s.n/chunk) >= len(s.chunks) {
		s.chunks = append(s.chunks, make([]T, chunk))
	}
	*s.at(s.n) = v
	return s.n
}

func (s *slab[T]) at(i uint32) *T { return &s.chunks[i/chunk][i%chunk] }

func (s *slab[T]) free(i uint32) {
	var zero T
	*s.at(i) = zero
	s.unused = append(s.unused, i)
}

// list is a first-in-first-out chain of lanes through their next fields. The zero value is empty.
type list struct{ head, tail uint32 }

func (q *list) empty() bool { return q.head == 0 }

func (q *list) push(s *slab[lane], at uint32) {
	s.at(at).next = 0
	if q.head == 0 {
		q.head = at
	} else {
		s.at(q.tail).next = at
	}
	q.tail = at
}

func (q *list) pop(s *slab[lane]) uint32 {
	at := q.head
	q.head = s.at(at).next
	s.at(at).next = 0
	return at
}

// heap orders parked lanes by when they are due, and by when they were parked among equals.
type heap struct {
	a []parking
	n uint64
}

type parking struct {
	due int64
	seq uint64
	at  uint32
}

func (h *heap) less(i, j int) bool {
	if h.a[i].due != h.a[j].due {
		return h.a[i].due < h.a[j].due
	}
	return h.a[i].seq < h.a[j].seq
}

func (h *heap) due(now int64) bool { return len(h.a) > 0 && h.a[0].due <= now }

func (h *heap) push(due int64, at uint32) {
	h.n++
	h.a = append(h.a, parking{due, h.n, at})
	for i := len(h.a) - 1; i > 0 && h.less(i, (i-1)/2); i = (i - 1) / 2 {
		h.a[i], h.a[(i-1)/2] = h.a[(i-1)/2], h.a[i]
	}
}

func (h *heap) pop() uint32 {
	at := h.a[0].at
	last := len(h.a) - 1
	h.a[0] = h.a[last]
	h.a = h.a[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if h.less(c, least) {
				least = c
			}
		}
		if least == i {
			return at
		}
		h.a[i], h.a[least] = h.a[least], h.a[i]
		i = least
	}
}
