/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taps: what the kernel does for a driver with large frames and checksums, and with several pairs.
 */
#include "tap_rig.h"

/* A TCP segment over IPv4 of `payload` bytes, with the sum of its pseudo header only. */
static size_t tcp_frame(uint8_t *f, size_t payload, unsigned port)
{
	static const uint8_t head[] = "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x09\x08\0"
				      "\x45\0\0\0\0\x01\x40\0\x40\x06\0\0\x0a\0\0\x01\x0a\0\0\x02"
				      "\0\0\x13\x88\0\0\0\x01\0\0\0\x01\x50\x10\x20\0\0\0\0\0";
	unsigned len = (unsigned)payload + 40, sum = 0;

	memcpy(f, head, 54);
	f[16] = (uint8_t)(len >> 8);
	f[17] = (uint8_t)len;
	f[34] = (uint8_t)(port >> 8);
	f[35] = (uint8_t)port;
	for (unsigned i = 14; i < 34; i += 2)
		sum += (unsigned)f[i] << 8 | f[i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
	f[24] = (uint8_t)(sum >> 8);
	f[25] = (uint8_t)sum;
	sum = 6 + (len - 20);
	for (unsigned i = 26; i < 34; i += 2)
		sum += (unsigned)f[i] << 8 | f[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	f[50] = (uint8_t)(sum >> 8);
	f[51] = (uint8_t)sum;
	for (size_t i = 0; i < payload; i++)
		f[54 + i] = (uint8_t)(i * 7);
	return 54 + payload;
}

static struct vio_frame_hdr tcp_hdr(unsigned mss)
{
	return (struct vio_frame_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				      .gso_type = mss ? VIRTIO_NET_HDR_GSO_TCPV4 : 0,
				      .hdr_len = htole16(mss ? 54 : 0),
				      .gso_size = htole16(mss),
				      .csum_start = htole16(34),
				      .csum_offset = htole16(16)};
}

/* Is the TCP checksum of the frame complete? */
static bool tcp_complete(const uint8_t *f, size_t len)
{
	unsigned sum = 6 + (unsigned)len - 34;

	for (size_t i = 26; i < len; i++)
		sum += i % 2 ? f[i] : (unsigned)f[i] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	return ((sum & 0xffff) + (sum >> 16)) == 0xffff;
}

static void test_offload_bits(void)
{
	struct vio_port_info info;
	struct rig t;

	rig_init(&t, 1);
	CU_ASSERT_EQUAL(vio_port_info(t.port, &info), 0);
	printf("(offloads %#llx) ", (unsigned long long)info.offloads);
	CU_ASSERT_TRUE(info.offloads & BIT(CSUM));
	CU_ASSERT_TRUE(info.offloads & BIT(GUEST_CSUM));
	CU_ASSERT_TRUE(info.offloads & BIT(HOST_TSO4));
	CU_ASSERT_EQUAL(!!(info.offloads & BIT(HOST_USO)), !!(info.offloads & BIT(GUEST_USO4)));
	/* Any set that a driver may choose is taken, also those the kernel would refuse. */
	for (unsigned i = 0; i < 128; i++) {
		uint64_t set = 0;

		set |= i & 1 ? BIT(GUEST_CSUM) : 0;
		set |= i & 2 ? BIT(GUEST_TSO4) : 0;
		set |= i & 4 ? BIT(GUEST_TSO6) : 0;
		set |= i & 8 ? BIT(GUEST_ECN) : 0;
		set |= i & 16 ? BIT(GUEST_UFO) : 0;
		set |= i & 32 ? BIT(GUEST_USO4) : 0;
		set |= i & 64 ? BIT(GUEST_USO6) : 0;
		CU_ASSERT_EQUAL(vio_port_set_offloads(t.port, set), 0);
	}
	rig_fini(&t);
}

/* Sends a large segment into the tap from the host's side. */
static void host_sends_tcp(int sock, size_t payload, unsigned mss)
{
	static struct {
		struct virtio_net_hdr hdr;
		uint8_t data[65600];
	} f;
	struct vio_frame_hdr hdr = tcp_hdr(mss);
	size_t len = tcp_frame(f.data, payload, 1000);

	memcpy(&f.hdr, &hdr, sizeof(f.hdr));
	CU_ASSERT_EQUAL(send(sock, &f, sizeof(f.hdr) + len, 0), (ssize_t)(sizeof(f.hdr) + len));
}

/* What the driver does not take is done by the kernel before we see it. */
static void test_offloads_received(void)
{
	const struct vio_frame_hdr whole = tcp_hdr(1400), csum = tcp_hdr(0);
	const struct user_frame *f;
	struct rig t;
	int sock;

	rig_init(&t, 1);
	sock = netns_socket("tap0", ETH_P_IP, true);
	user_receive(t.u[0], 1000);

	host_sends_tcp(sock, 14000, 1400); /* nothing was said: no offloads */
	CU_ASSERT_TRUE(user_wait(t.u[0], 10));
	CU_ASSERT_EQUAL(t.u[0]->n, 10);
	for (unsigned i = 0; i < t.u[0]->n; i++) {
		f = &t.u[0]->got[i];
		CU_ASSERT_EQUAL(f->len, 1454);
		CU_ASSERT_EQUAL(f->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
		CU_ASSERT_EQUAL(f->hdr.gso_type, 0);
		CU_ASSERT_TRUE(tcp_complete(f->data, f->len));
	}
	user_drop(t.u[0]);

	MUST(vio_port_set_offloads(t.port, BIT(GUEST_CSUM)));
	host_sends_tcp(sock, 1000, 0);
	CU_ASSERT_TRUE(user_wait(t.u[0], 1));
	f = &t.u[0]->got[0];
	CU_ASSERT_EQUAL(f->len, 1054);
	CU_ASSERT_EQUAL(memcmp(&f->hdr, &csum, sizeof(csum)), 0);
	CU_ASSERT_FALSE(tcp_complete(f->data, f->len));
	user_drop(t.u[0]);

	MUST(vio_port_set_offloads(t.port, BIT(GUEST_CSUM) | BIT(GUEST_TSO4)));
	host_sends_tcp(sock, 65000, 1400);
	CU_ASSERT_TRUE(user_wait(t.u[0], 1));
	f = &t.u[0]->got[0];
	CU_ASSERT_EQUAL(f->len, 65054);
	CU_ASSERT_EQUAL(f->hdr.flags, whole.flags);
	CU_ASSERT_EQUAL(f->hdr.gso_type, whole.gso_type);
	CU_ASSERT_EQUAL(f->hdr.gso_size, whole.gso_size);
	CU_ASSERT_EQUAL(f->hdr.csum_start, whole.csum_start);
	CU_ASSERT_EQUAL(f->hdr.csum_offset, whole.csum_offset);
	close(sock);
	rig_fini(&t);
}

static void test_offloads_sent(void)
{
	static struct {
		struct virtio_net_hdr hdr;
		uint8_t data[65600];
	} got;
	static uint8_t data[65600];
	struct iovec iov = {data, tcp_frame(data, 65000, 1000)};
	struct vio_frame f = {tcp_hdr(1400), &iov, 1, (uint32_t)iov.iov_len};
	struct rig t;
	int sock;

	rig_init(&t, 1);
	sock = netns_socket("tap0", ETH_P_IP, true);
	CU_ASSERT_EQUAL(vio_port_send(t.u[0]->pq, &f, 1), 1);
	CU_ASSERT_EQUAL(netns_recv(sock, &got, sizeof(got)), (ssize_t)(sizeof(got.hdr) + f.len));
	CU_ASSERT_EQUAL(got.hdr.flags, f.hdr.flags);
	CU_ASSERT_EQUAL(got.hdr.gso_type, f.hdr.gso_type);
	CU_ASSERT_EQUAL(got.hdr.gso_size, 1400);
	CU_ASSERT_EQUAL(memcmp(got.data, data, f.len), 0);
	f.hdr.gso_type = 77; /* nobody knows that one: dropped, and no harm done */
	CU_ASSERT_EQUAL(vio_port_send(t.u[0]->pq, &f, 1), 1);
	f.hdr = (struct vio_frame_hdr){0};
	f.len = (uint32_t)(iov.iov_len = tcp_frame(data, 100, 1000));
	CU_ASSERT_EQUAL(vio_port_send(t.u[0]->pq, &f, 1), 1);
	CU_ASSERT_EQUAL(netns_recv(sock, &got, sizeof(got)), (ssize_t)(sizeof(got.hdr) + f.len));
	close(sock);
	rig_fini(&t);
}

/* Many flows from the host's side; returns how many frames came, per pair. */
static void host_sends_flows(struct rig *t, unsigned n, unsigned *came)
{
	int sock = netns_socket(vio_port_tap_name(t->port), ETH_P_IP, false);
	uint8_t data[200];
	unsigned sum = 0;

	for (unsigned i = 0; i < n; i++) {
		size_t len = tcp_frame(data, 10, 2000 + i);

		CU_ASSERT_EQUAL(send(sock, data, len, 0), (ssize_t)len);
	}
	for (unsigned turn = 0; turn < 100 && sum < n; turn++) {
		vio_loop_manual_run(t->loop, 10);
		sum = 0;
		for (unsigned i = 0; i < t->pairs; i++)
			sum += t->u[i] ? t->u[i]->n : 0;
	}
	CU_ASSERT_EQUAL(sum, n); /* none to a pair that is not in use */
	for (unsigned i = 0; i < t->pairs; i++) {
		came[i] = t->u[i] ? t->u[i]->n : 0;
		if (t->u[i])
			user_drop(t->u[i]);
	}
	close(sock);
}

static void multi_queue(struct rig *t)
{
	unsigned came[4];
	uint8_t data[100];

	for (unsigned i = 0; i < 4; i++)
		user_receive(t->u[i], 100000);
	host_sends_flows(t, 200, came);
	CU_ASSERT_TRUE(came[0] && came[1] && came[2] && came[3]);

	vio_port_select(t->u[2]->pq, false);
	vio_port_select(t->u[3]->pq, false);
	vio_port_select(t->u[3]->pq, false);
	host_sends_flows(t, 200, came);
	CU_ASSERT_TRUE(came[0] && came[1] && !came[2] && !came[3]);
	user_settle(t->u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t->loop, 0), 0); /* those left out are quiet */
	CU_ASSERT_EQUAL(t->n_down, 0);

	user_detach(t->u[1]);
	t->u[1] = NULL;
	host_sends_flows(t, 200, came);
	CU_ASSERT_TRUE(came[0] == 200);

	t->u[1] = user_attach(t->port, t->loop, 1);
	user_receive(t->u[1], 100000);
	vio_port_select(t->u[3]->pq, true);
	host_sends_flows(t, 200, came);
	CU_ASSERT_TRUE(came[0] && came[1] && !came[2] && came[3]);

	for (unsigned i = 0; i < 4; i += i ? 2 : 1) { /* 0, 1, 3 */
		fill(data, 100, i);
		CU_ASSERT_TRUE(user_send(t->u[i], data, 100));
		CU_ASSERT_TRUE(host_gets(t, 100, i));
	}
	/* Not selected and sending: the frame goes or not, but nothing breaks. */
	CU_ASSERT_TRUE(user_send(t->u[2], data, 100));
	user_settle(t->u[2]);
	CU_ASSERT_EQUAL(t->n_down, 0);
}

static void test_multi_queue(void)
{
	struct rig t;

	rig_init(&t, 4);
	multi_queue(&t);
	rig_fini(&t);
}

/* Frames from the host's side, of our type: whichever pair they come by. */
static unsigned host_sends_some(struct rig *t)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < 10; i++)
		host_sends(t, 100, i);
	for (unsigned turn = 0; turn < 5; turn++)
		vio_loop_manual_run(t->loop, 10);
	user_settle(t->u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t->loop, 0), 0);
	for (unsigned i = 0; i < t->pairs; i++) {
		sum += t->u[i]->n;
		user_drop(t->u[i]);
	}
	return sum;
}

/* NET-DEV-125: what would come for the first pair goes to others, and it sends all the same. */
static void test_first_pair_left_out(void)
{
	unsigned came[4];
	uint8_t data[100];
	struct rig t;

	rig_init(&t, 4);
	for (unsigned i = 0; i < 4; i++)
		user_receive(t.u[i], 100000);
	vio_port_select(t.u[0]->pq, false);
	host_sends_flows(&t, 200, came);
	CU_ASSERT_TRUE(!came[0] && came[1] && came[2] && came[3]);
	fill(data, 100, 1);
	CU_ASSERT_TRUE(user_send(t.u[0], data, 100));
	CU_ASSERT_TRUE(host_gets(&t, 100, 1));
	vio_port_select(t.u[0]->pq, true);
	host_sends_flows(&t, 200, came);
	CU_ASSERT_TRUE(came[0] && came[1] && came[2] && came[3]);
	CU_ASSERT_EQUAL(t.n_down, 0);
	rig_fini(&t);
}

/* NET-DEV-126: with no pair to go to frames are dropped. They do not come later. */
static void no_pair(unsigned pairs)
{
	uint8_t data[100];
	struct rig t;

	rig_init(&t, pairs);
	for (unsigned i = 0; i < pairs; i++) {
		user_receive(t.u[i], 1000);
		vio_port_select(t.u[i]->pq, false);
	}
	CU_ASSERT_EQUAL(host_sends_some(&t), 0);
	fill(data, 100, 1);
	CU_ASSERT_TRUE(user_send(t.u[0], data, 100));
	CU_ASSERT_TRUE(host_gets(&t, 100, 1));
	for (unsigned i = 0; i < 20; i++) /* behind our back, too */
		host_sends(&t, 100, i);
	vio_port_select(t.u[0]->pq, true);
	user_settle(t.u[0]);
	CU_ASSERT_EQUAL(t.u[0]->n, 0);
	CU_ASSERT_EQUAL(host_sends_some(&t), 10);

	/* Whoever attaches it next has its frames, those that come before, too. */
	vio_port_select(t.u[0]->pq, false);
	user_detach(t.u[0]);
	host_sends(&t, 100, 7);
	t.u[0] = user_attach(t.port, t.loop, 0);
	user_receive(t.u[0], 1000);
	CU_ASSERT_TRUE(user_wait(t.u[0], 1));
	CU_ASSERT_EQUAL(t.u[0]->n, 1);
	CU_ASSERT_EQUAL(t.n_down + t.n_up, 0);
	rig_fini(&t);
}

static void test_no_pair(void)
{
	no_pair(1);
	no_pair(3);
}

static bool host_sees_carrier(void)
{
	return netns_try("ip link show tap0 | grep -q LOWER_UP");
}

static bool carrier_waits(bool up)
{
	for (unsigned i = 0; i < 40 && host_sees_carrier() != up; i++)
		usleep(50000);
	return host_sees_carrier() == up;
}

/* The operator pulls the cable: the host sees it, also when it comes back while no pair is there.
 */
static void test_carrier(void)
{
	struct rig t;

	for (unsigned pairs = 1; pairs <= 2; pairs++) {
		rig_init(&t, pairs);
		CU_ASSERT_TRUE(carrier_waits(true));
		vio_port_set_link(t.port, false);
		CU_ASSERT_TRUE(carrier_waits(false));
		vio_port_set_link(t.port, true);
		CU_ASSERT_TRUE(carrier_waits(true));
		vio_port_set_link(t.port, false);
		for (unsigned i = 0; i < pairs; i++)
			vio_port_select(t.u[i]->pq, false);
		vio_port_set_link(t.port, true);
		vio_port_select(t.u[0]->pq, true);
		CU_ASSERT_TRUE(carrier_waits(true));
		vio_port_set_link(t.port, false);
		vio_port_select(t.u[0]->pq, false);
		vio_port_select(t.u[0]->pq, true);
		CU_ASSERT_TRUE(carrier_waits(false));
		CU_ASSERT_EQUAL(t.n_down + t.n_up, 0);
		rig_fini(&t);
	}
}

static CU_TestInfo tests[] = {
	{"offload bits", test_offload_bits},
	{"offloads received", test_offloads_received},
	{"offloads sent", test_offloads_sent},
	{"multi-queue", test_multi_queue},
	{"the first pair left out", test_first_pair_left_out},
	{"no pair", test_no_pair},
	{"carrier", test_carrier},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return rig_suite("tap_queues", tests);
}
