/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many frames out and back through a network card, while queues are reset, the device is reset,
 * and the number of pairs changes, at random: each frame comes back once, whole and in order, or,
 * if a reset caught it on its way, never, or on another pair. The first argument is how many
 * frames.
 */
#include <endian.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <driver/bus_mmio.h>
#include <driver/bus_pci.h>
#include <driver/net.h>
#include <viodm/iothread.h>
#include <viodm/net.h>
#include <viodm/ports.h>

#include "dut.h"

#define PAIRS	   4
#define IOTHREADS  2
#define QUEUE_SIZE 128
#define BUFS	   64
#define RX_BUF	   1600
#define TX_BUF	   8100
#define PIECES	   8

#define HEADER sizeof(struct frame_head)

/* Sanitizers make it ten times slower, and take memory of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

#define FRAMES (SANITIZED ? 100000 : 1000000)

static unsigned long n_frames = FRAMES;

/* What a frame begins with; the rest follows from `seq` and `pair`. */
struct frame_head {
	uint8_t dst[6];
	uint8_t src[6];
	uint8_t type[2];
	uint16_t pair;
	uint32_t epoch; /* resets of the device before it was sent */
	uint32_t len;
	uint64_t seq;
} __attribute__((packed));

struct soak {
	bool threads;
	struct drv_rig rig;
	struct vio_iothread *iot[IOTHREADS];
	struct vio_backend *backend; /* threads */
	struct vio_port *port;
	struct vio_device *dev;
	struct drv_bus *bus;
	struct drv_device drv;
	struct drv_net net;
	bool net_open;

	uint64_t rng;
	uint8_t mac[6];
	uint32_t epoch;
	uint16_t active; /* pairs */
	uint64_t next_send[PAIRS];
	uint64_t expected[PAIRS];
	uint64_t diverted[PAIRS]; /* those before may be lost, or come on another pair */

	uint64_t sent, got, lost; /* lost: caught by a reset */
	uint64_t strayed;	  /* ... and seen on another pair */
	uint64_t device_resets, queue_resets, pair_changes;
	bool failed;

	uint8_t out[TX_BUF];
	struct drv_net_frame in;
};

static uint32_t draw(struct soak *s, uint32_t n)
{
	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 7;
	s->rng ^= s->rng << 17;
	return (uint32_t)(s->rng >> 32) % n;
}

static bool check(struct soak *s, bool ok, const char *what)
{
	CU_ASSERT(ok);
	if (!ok && !s->failed)
		printf("\n  after %lu frames, epoch %u: %s", s->sent, s->epoch, what);
	s->failed |= !ok;
	return ok;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void make_frame(const struct soak *s, uint8_t *p, uint16_t pair, uint64_t seq,
		       uint32_t epoch, uint32_t len)
{
	struct frame_head h = {.type = {0x88, 0xb5}, /* for experiments */
			       .pair = pair,
			       .epoch = epoch,
			       .len = len,
			       .seq = seq};
	uint64_t x = (seq + 1) * 0x9e3779b97f4a7c15u + pair;

	memcpy(h.dst, s->mac, 6);
	h.src[0] = 2;
	memcpy(p, &h, HEADER);
	for (uint32_t at = HEADER; at < len; at += 8) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		memcpy(p + at, &x, len - at < 8 ? len - at : 8);
	}
}

/* Where a frame whose checksum is left to the device has it, behind the header. */
#define CSUM_OFFSET 6

static bool leaves_csum(const struct soak *s, uint64_t seq)
{
	return seq % 4 == 0 && drv_device_has(&s->drv, VIRTIO_NET_F_CSUM);
}

static struct drv_net_hdr csum_header(void)
{
	return (struct drv_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				    .csum_start = htole16(HEADER),
				    .csum_offset = htole16(CSUM_OFFSET)};
}

/* The device's task, by the definition (RFC 1071). */
static void complete_csum(uint8_t *p, uint32_t len)
{
	uint64_t sum = 0;

	for (uint32_t i = HEADER; i < len; i++)
		sum += (i - HEADER) % 2 ? p[i] : p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = sum == 0xffff ? 0xffff : ~sum & 0xffff;
	p[HEADER + CSUM_OFFSET] = (uint8_t)(sum >> 8);
	p[HEADER + CSUM_OFFSET + 1] = (uint8_t)sum;
}

/* The header, and the checksum of s->out as it has to be with that header. */
static void check_header(struct soak *s, const struct frame_head *h)
{
	const struct drv_net_hdr *hdr = &s->in.hdr, csum = csum_header();

	check(s, hdr->gso_type == 0, "segments");
	if (!leaves_csum(s, h->seq)) {
		check(s, hdr->flags == 0, "a checksum that nobody left out");
	} else if (drv_device_has(&s->drv, VIRTIO_NET_F_GUEST_CSUM)) {
		check(s,
		      hdr->flags == csum.flags && hdr->csum_start == csum.csum_start &&
			      hdr->csum_offset == csum.csum_offset,
		      "another place for the checksum");
	} else {
		check(s, hdr->flags == 0, "a driver that does not know checksums gets one");
		complete_csum(s->out, h->len);
	}
}

/* Is a frame of pair `h->pair` that came back on `pair` one that could? Counts it. */
static void check_place(struct soak *s, uint16_t pair, const struct frame_head *h)
{
	if (!check(s, h->pair < PAIRS, "a pair that there is not"))
		return;
	if (h->pair != pair) {
		check(s, h->seq < s->diverted[h->pair], "a frame of another pair");
		s->strayed++;
		return;
	}
	check(s, h->seq >= s->expected[pair], "a frame twice, out of order or after a reset");
	check(s, h->seq <= s->expected[pair] || h->seq <= s->diverted[pair], "a frame is missing");
	s->lost += h->seq - s->expected[pair];
	s->expected[pair] = h->seq + 1;
	s->got++;
}

/* A frame came back on `pair`. */
static void check_frame(struct soak *s, uint16_t pair)
{
	const struct drv_net_frame *f = &s->in;
	struct frame_head h;

	if (!check(s, f->len >= HEADER, "a short frame"))
		return;
	memcpy(&h, f->data, HEADER);
	check(s, h.epoch == s->epoch, "a frame from before the reset of the device");
	check_place(s, pair, &h);
	if (!check(s, h.len == f->len && h.len <= sizeof(s->out), "a frame of another length"))
		return;
	make_frame(s, s->out, h.pair, h.seq, h.epoch, h.len);
	check_header(s, &h);
	check(s, memcmp(s->out, f->data, h.len) == 0, "a frame with other bytes");
}

static uint32_t frame_len(struct soak *s)
{
	uint32_t max = s->net.mergeable && draw(s, 16) == 0 ? 8000 : 1514;

	if (draw(s, 2))
		max = 128;
	return 60 + draw(s, max - 60 + 1);
}

static void send_some(struct soak *s, uint16_t pair)
{
	for (uint32_t i = 1 + draw(s, 24); i > 0 && !s->failed; i--) {
		struct drv_framing framing = {.first = draw(s, 3) * 7,
					      .rest = draw(s, 4) ? 0 : 1100,
					      .n_direct = draw(s, 3) ? DRV_DIRECT : draw(s, 3)};
		const struct drv_net_hdr csum = csum_header();
		uint64_t seq = s->next_send[pair];
		uint32_t len = frame_len(s);
		int r;

		make_frame(s, s->out, pair, seq, s->epoch, len);
		r = drv_net_add(&s->net, pair, leaves_csum(s, seq) ? &csum : NULL, s->out, len,
				draw(s, 2) ? &framing : NULL);
		if (r == -ENOSPC)
			break;
		if (!check(s, r == 0, "a transmit buffer came back wrong"))
			break;
		s->next_send[pair]++;
		s->sent++;
	}
	drv_device_submit(&s->drv, drv_net_txq(pair));
}

static void take_all(struct soak *s, uint16_t pair)
{
	int r = 0;

	while (!s->failed && (r = drv_net_take(&s->net, pair, &s->in)) == 1)
		check_frame(s, pair);
	check(s, r >= 0, s->net.why ? s->net.why : "");
}

static void post_some(struct soak *s, uint16_t pair)
{
	struct drv_framing framing = {.first = draw(s, 3) * 5,
				      .rest = draw(s, 4) ? 0 : 700,
				      .n_direct = draw(s, 3) ? DRV_DIRECT : draw(s, 3)};

	drv_net_post(&s->net, pair, RX_BUF, draw(s, BUFS), draw(s, 2) ? &framing : NULL);
}

/* ---- resets ---------------------------------------------------------------------------------- */

/* What was sent on `pair` may go to another, or be dropped (NET-DEV-125, NET-DEV-126). */
static void divert_sent(struct soak *s, uint16_t pair)
{
	s->diverted[pair] = s->next_send[pair];
}

/* All that was diverted and did not come back is lost. */
static void forget_diverted(struct soak *s, uint16_t pair)
{
	if (s->expected[pair] >= s->diverted[pair])
		return;
	s->lost += s->diverted[pair] - s->expected[pair];
	s->expected[pair] = s->diverted[pair];
}

/* What was sent on `pair` and did not come back never does. */
static void forget_sent(struct soak *s, uint16_t pair)
{
	s->lost += s->next_send[pair] - s->expected[pair];
	s->expected[pair] = s->next_send[pair];
}

static void queue_again(struct soak *s, uint16_t queue)
{
	drv_queue_clear(&s->drv.queue[queue]);
	if (queue < 2 * PAIRS)
		drv_net_forget(&s->net, queue);
	drv_device_place_queue(&s->drv, queue);
	s->queue_resets++;
}

static void reset_queue(struct soak *s, uint16_t pair, bool tx)
{
	uint16_t queue = tx ? drv_net_txq(pair) : drv_net_rxq(pair);

	if (!drv_device_has(&s->drv, VIRTIO_F_RING_RESET))
		return;
	drv_queue_reset(s->bus, queue);
	take_all(s, pair); /* frames that were there before are good */
	if (tx) {
		check(s, drv_net_reap(&s->net, pair) >= 0, "a transmit buffer came back wrong");
		forget_sent(s, pair);
	} else {
		divert_sent(s, pair);
	}
	queue_again(s, queue);
}

/* Everything the device could write to. */
static uint64_t memory_sum(const struct soak *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->rig.mem.n; i++) {
		const struct drv_region *r = &s->rig.mem.region[i];
		const uint64_t *p = (const uint64_t *)r->hva;

		for (uint64_t k = 0; k < r->used / 8; k++)
			sum = (sum ^ p[k]) * 0x100000001b3u;
	}
	return sum;
}

static void let_work(struct soak *s)
{
	static const struct timespec nap = {.tv_nsec = 300000};

	if (s->threads)
		nanosleep(&nap, NULL);
	else
		drv_device_settle(&s->drv);
}

/* NET-DEV-123 and the general rule: after a reset nothing of what was before comes or is written.
 */
static void stop_device(struct soak *s)
{
	uint64_t before;

	if (!s->net_open)
		return;
	drv_reset(s->bus);
	if (draw(s, 4) == 0) {
		before = memory_sum(s);
		let_work(s);
		check(s, memory_sum(s) == before, "written to memory after the reset");
	}
	for (uint16_t i = 0; i < PAIRS; i++)
		take_all(s, i);
	for (uint16_t i = 0; i < PAIRS; i++)
		forget_sent(s, i);
	drv_net_fini(&s->net);
	s->net_open = false;
	s->epoch++;
}

#define SEGMENTS                                                                                   \
	(DRV_FEATURE(VIRTIO_NET_F_HOST_TSO4) | DRV_FEATURE(VIRTIO_NET_F_HOST_TSO6) |               \
	 DRV_FEATURE(VIRTIO_NET_F_HOST_ECN) | DRV_FEATURE(VIRTIO_NET_F_HOST_UFO) |                 \
	 DRV_FEATURE(VIRTIO_NET_F_HOST_USO))
#define GUEST_SEGMENTS                                                                             \
	(DRV_FEATURE(VIRTIO_NET_F_GUEST_TSO4) | DRV_FEATURE(VIRTIO_NET_F_GUEST_TSO6) |             \
	 DRV_FEATURE(VIRTIO_NET_F_GUEST_ECN) | DRV_FEATURE(VIRTIO_NET_F_GUEST_UFO) |               \
	 DRV_FEATURE(VIRTIO_NET_F_GUEST_USO4) | DRV_FEATURE(VIRTIO_NET_F_GUEST_USO6))

static uint64_t some_features(struct soak *s)
{
	uint64_t f = DRV_ALL_FEATURES;

	if (draw(s, 2))
		f &= ~DRV_FEATURE(VIRTIO_NET_F_MRG_RXBUF);
	if (draw(s, 2))
		f &= ~DRV_FEATURE(VIRTIO_RING_F_EVENT_IDX);
	if (draw(s, 3) == 0)
		f &= ~DRV_FEATURE(VIRTIO_RING_F_INDIRECT_DESC);
	if (draw(s, 2))
		f &= ~(DRV_FEATURE(VIRTIO_NET_F_GUEST_CSUM) | GUEST_SEGMENTS);
	if (draw(s, 4) == 0)
		f &= ~(DRV_FEATURE(VIRTIO_NET_F_CSUM) | SEGMENTS);
	if (draw(s, 2))
		f &= ~(DRV_FEATURE(VIRTIO_NET_F_HASH_REPORT) | DRV_FEATURE(VIRTIO_NET_F_RSS));
	return f;
}

static void start_device(struct soak *s)
{
	struct drv_device_config cfg = {.features = some_features(s), .queue_size = QUEUE_SIZE};

	stop_device(s);
	MUST(drv_device_start(&s->drv, &cfg));
	MUST(drv_net_init(&s->net, &s->drv));
	s->net_open = true;
	drv_net_mac(&s->net, s->mac);
	for (uint16_t i = 0; i < PAIRS; i++) {
		MUST(drv_net_make_bufs(&s->net, drv_net_rxq(i), BUFS, RX_BUF, PIECES));
		MUST(drv_net_make_bufs(&s->net, drv_net_txq(i), BUFS, TX_BUF, PIECES));
	}
	s->active = 1;
	s->device_resets++;
}

static void change_pairs(struct soak *s)
{
	uint16_t n = 1 + draw(s, PAIRS);

	check(s, drv_net_set_pairs(&s->net, n) == VIRTIO_NET_OK, "no answer to VQ_PAIRS_SET");
	for (uint16_t i = n; i < PAIRS; i++)
		divert_sent(s, i);
	s->active = n;
	s->pair_changes++;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool soak_init(struct soak *s, bool threads)
{
	const struct vio_iothread_config iot = {.cpu = -1, .poll_us = 20};
	struct vio_net_config cfg = {.pairs = PAIRS, .queue_size = QUEUE_SIZE, .hash = true};
	struct vio_device_env env;

	memset(s, 0, sizeof(*s));
	s->threads = threads;
	s->rng = 0x1234567 + threads;
	MUST(drv_rig_init(&s->rig));
	env = s->rig.env;
	for (unsigned i = 0; threads && i < IOTHREADS; i++)
		if (vio_iothread_create(&iot, &s->iot[i]) < 0) {
			printf("\n  no io_uring here: IO threads left out");
			return false;
		}
	if (threads) {
		MUST(vio_backend_iothread_create(s->iot, IOTHREADS, &s->backend));
		env.backend = s->backend;
	}
	MUST(vio_port_loop_open(&s->port));
	cfg.port = s->port;
	MUST(vio_net_create(&env, &cfg, &s->dev));
	if (threads)
		MUST(drv_pci_create(s->dev, VIO_PCI_VECTORS_AUTO, &s->bus));
	else
		MUST(drv_mmio_create(s->dev, &s->bus));
	drv_device_init(&s->drv, s->bus, &s->rig.mem, threads ? NULL : drv_rig_turn, &s->rig);
	return true;
}

static void soak_fini(struct soak *s)
{
	if (s->net_open)
		drv_net_fini(&s->net);
	if (s->dev)
		drv_rig_disconnect(s->dev, s->bus, &s->drv);
	vio_port_close(s->port);
	vio_backend_destroy(s->backend);
	for (unsigned i = 0; i < IOTHREADS; i++)
		vio_iothread_destroy(s->iot[i]);
	drv_rig_fini(&s->rig);
}

static void one_step(struct soak *s)
{
	uint16_t pair = draw(s, s->active);

	if (draw(s, 4))
		send_some(s, pair);
	if (draw(s, 4))
		post_some(s, pair);
	if (!s->threads)
		for (uint32_t i = draw(s, 4); i > 0; i--)
			drv_rig_turn(&s->rig);
	take_all(s, draw(s, PAIRS));
	if (draw(s, 400) == 0)
		reset_queue(s, draw(s, PAIRS), draw(s, 2));
	if (draw(s, 500) == 0)
		change_pairs(s);
	if (draw(s, 4000) == 0)
		start_device(s);
}

/* Lets all that is on its way arrive. */
static void drain(struct soak *s)
{
	if (check(s, drv_net_set_pairs(&s->net, PAIRS) == VIRTIO_NET_OK, "no answer"))
		s->active = PAIRS;
	for (uint16_t i = 0; i < PAIRS; i++)
		for (unsigned idle = 0; s->expected[i] < s->next_send[i] && idle < 10000;) {
			if (idle > 100)
				forget_diverted(s, i);
			uint64_t before = s->got;

			drv_net_post(&s->net, i, RX_BUF, BUFS, NULL);
			drv_device_submit(&s->drv, drv_net_txq(i));
			let_work(s);
			take_all(s, i);
			idle = s->got == before ? idle + 1 : 0;
			if (s->failed)
				return;
		}
	for (uint16_t i = 0; i < PAIRS; i++) {
		forget_diverted(s, i);
		check(s, s->expected[i] == s->next_send[i], "frames that never came");
		check(s, drv_net_drain(&s->net, i) == 0, "transmit buffers that never came");
	}
}

static size_t rss(void)
{
	unsigned long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* `frames` of them; all of them arrived, and the device is as after a reset. */
static void run(struct soak *s, uint64_t frames)
{
	uint64_t until = s->sent + frames;

	start_device(s);
	while (s->sent < until && !s->failed)
		one_step(s);
	if (!s->failed)
		drain(s);
	check(s, !vio_device_failed(s->dev), "the device failed");
	check(s, s->sent == s->got + s->lost, "the count");
	stop_device(s);
}

static void soak(bool threads)
{
	static struct soak s;
	size_t heap, resident;

	if (soak_init(&s, threads)) {
		run(&s, n_frames / 5); /* what is allocated once is allocated now */
		heap = mallinfo2().uordblks;
		resident = rss();
		run(&s, n_frames - n_frames / 5);
		printf("\n  %lu frames sent, %lu came back, %lu caught by one of %lu device and "
		       "%lu queue resets (%lu of them came on another pair); %lu times other "
		       "pairs; heap %+ld, resident %+ld bytes ",
		       s.sent, s.got, s.lost, s.device_resets, s.queue_resets, s.strayed,
		       s.pair_changes, (long)(mallinfo2().uordblks - heap),
		       (long)(rss() - resident));
		CU_ASSERT(s.got >= n_frames * 8 / 10);
		CU_ASSERT(mallinfo2().uordblks <= heap + (64u << 10));
		if (FRAMES == 1000000) /* the memory of a sanitizer grows */
			CU_ASSERT(SANITIZED || rss() <= resident + (4u << 20));
	}
	soak_fini(&s);
}

static void test_inproc(void)
{
	soak(false);
}

static void test_iothreads(void)
{
	soak(true);
}

static CU_TestInfo tests[] = {
	{"on one loop", test_inproc},
	{"on two IO threads", test_iothreads},
	CU_TEST_INFO_NULL,
};

int main(int argc, char **argv)
{
	if (argc > 1)
		n_frames = strtoul(argv[1], NULL, 10);
	return suite_run("net_million", tests);
}
