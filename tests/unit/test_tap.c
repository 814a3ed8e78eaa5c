/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tap and macvtap ports, on real interfaces in a network namespace of their own.
 */
#include "netns.h"

#include <endian.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <viodm/ports.h>

#include "port_user.h"

#define BIT(name) (1ULL << VIRTIO_NET_F_##name)

/* A tap with its users, and what the host sees of it. */
struct rig {
	struct vio_port *port;
	struct vio_loop *loop;
	struct port_user *u[4];
	unsigned pairs;
	int sock;
	unsigned n_down, n_up;
};

static void on_link(struct vio_port *port, bool up)
{
	struct rig *t = port->user;

	if (up)
		t->n_up++;
	else
		t->n_down++;
}

static void rig_on_port(struct rig *t, struct vio_port *port, unsigned pairs)
{
	t->port = port;
	t->pairs = pairs;
	port->on_link = on_link;
	port->user = t;
	MUST(vio_loop_manual_create(&t->loop));
	for (unsigned i = 0; i < pairs; i++)
		t->u[i] = user_attach(port, t->loop, (uint16_t)i);
}

static void rig_up(struct rig *t)
{
	char command[64];

	snprintf(command, sizeof(command), "ip link set %s up", vio_port_tap_name(t->port));
	netns_run(command);
	t->sock = netns_socket(vio_port_tap_name(t->port), NETNS_ETHERTYPE, false);
}

static void rig_init(struct rig *t, unsigned pairs)
{
	struct vio_port_tap_config cfg = {.name = "tap0", .pairs = (uint16_t)pairs};
	struct vio_port *port;

	memset(t, 0, sizeof(*t));
	MUST(vio_port_tap_open(&cfg, &port));
	rig_on_port(t, port, pairs);
	rig_up(t);
}

static void rig_fini(struct rig *t)
{
	for (unsigned i = 0; i < t->pairs; i++)
		if (t->u[i])
			user_detach(t->u[i]);
	vio_port_close(t->port);
	vio_loop_destroy(t->loop);
	close(t->sock);
}

/* A frame of our type whose payload is made of `number`. */
static void fill(uint8_t *data, size_t len, unsigned number)
{
	memcpy(data, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x09\x88\xb5", 14);
	for (size_t i = 14; i < len; i++)
		data[i] = (uint8_t)(number + i);
}

static void host_sends(const struct rig *t, size_t len, unsigned number)
{
	uint8_t data[2000];

	fill(data, len, number);
	CU_ASSERT_EQUAL(send(t->sock, data, len, 0), (ssize_t)len);
}

static bool host_gets(const struct rig *t, size_t len, unsigned number)
{
	uint8_t data[2000], want[2000];

	fill(want, len, number);
	return netns_recv(t->sock, data, sizeof(data)) == (ssize_t)len && !memcmp(data, want, len);
}

static bool is_frame(const struct user_frame *f, size_t len, unsigned number)
{
	uint8_t want[2000];

	fill(want, len, number);
	return f->len == len && !memcmp(f->data, want, len) &&
	       !memcmp(&f->hdr, &(struct vio_frame_hdr){0}, sizeof(f->hdr));
}

static const size_t lengths[] = {15, 60, 64, 65, 576, 1500, 1514};

static void test_both_ways(void)
{
	uint8_t data[2000];
	struct rig t;

	rig_init(&t, 1);
	user_receive(t.u[0], 100);
	for (unsigned i = 0; i < VIO_ARRAY_LEN(lengths); i++) {
		t.u[0]->room_cut = i % 4;
		host_sends(&t, lengths[i], i);
		CU_ASSERT_TRUE(user_wait(t.u[0], 1));
		CU_ASSERT_TRUE(t.u[0]->n == 1 && is_frame(&t.u[0]->got[0], lengths[i], i));
		user_drop(t.u[0]);
		fill(data, lengths[i], i + 100);
		CU_ASSERT_TRUE(user_send(t.u[0], data, lengths[i]));
		CU_ASSERT_TRUE(host_gets(&t, lengths[i], i + 100));
	}
	CU_ASSERT_TRUE(user_send(t.u[0], data, 1)); /* a runt: dropped */
	CU_ASSERT_TRUE(user_send(t.u[0], data, lengths[0]));
	CU_ASSERT_EQUAL(netns_recv(t.sock, data, sizeof(data)), (ssize_t)lengths[0]);
	CU_ASSERT_EQUAL(t.n_down + t.n_up, 0);
	rig_fini(&t);
}

/* In as many pieces as a driver cares to make of it, more than the kernel takes at once. */
static void test_pieces(void)
{
	static struct iovec iov[1514];
	static const unsigned pieces[] = {1, 2, 1022, 1023, 1024, 1025, 1514};
	uint8_t data[1514];
	struct rig t;

	rig_init(&t, 1);
	for (unsigned k = 0; k < VIO_ARRAY_LEN(pieces); k++) {
		struct vio_frame f = {.iov = iov, .n_iov = pieces[k], .len = sizeof(data)};

		fill(data, sizeof(data), k);
		for (unsigned i = 0; i < pieces[k]; i++)
			iov[i] = (struct iovec){data + i, 1};
		iov[pieces[k] - 1].iov_len = sizeof(data) - pieces[k] + 1;
		CU_ASSERT_EQUAL(vio_port_send(t.u[0]->pq, &f, 1), 1);
		CU_ASSERT_TRUE(host_gets(&t, sizeof(data), k));
	}
	rig_fini(&t);
}

/* Frames wait while there is no room, none is lost, and the loop has nothing to do meanwhile. */
static void test_no_room(void)
{
	unsigned seen = 0;
	struct rig t;

	rig_init(&t, 1);
	for (unsigned i = 0; i < 200; i++)
		host_sends(&t, 100, i);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 0), 0); /* it does not receive yet */
	for (unsigned room = 0; seen < 200; room++) {
		unsigned want = room < 200 - seen ? room : 200 - seen;

		user_receive(t.u[0], room);
		CU_ASSERT_TRUE_FATAL(user_wait(t.u[0], want));
		vio_loop_manual_run(t.loop, 0);
		CU_ASSERT_EQUAL(t.u[0]->n, want);
		CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 0), 0);
		for (unsigned i = 0; i < t.u[0]->n; i++)
			CU_ASSERT_TRUE(is_frame(&t.u[0]->got[i], 100, seen++));
		user_drop(t.u[0]);
	}
	rig_fini(&t);
}

/* One turn brings a bounded number of frames, with one flush. */
static void test_batch(void)
{
	struct rig t;

	rig_init(&t, 1);
	user_receive(t.u[0], 300);
	for (unsigned i = 0; i < 300; i++)
		host_sends(&t, 60, i);
	for (unsigned i = 1; i <= 4; i++) {
		CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 1000), 1);
		CU_ASSERT_EQUAL(t.u[0]->n, 64 * i);
		CU_ASSERT_EQUAL(t.u[0]->n_flush, i);
	}
	CU_ASSERT_TRUE(user_wait(t.u[0], 300));
	rig_fini(&t);
}

/* A frame that does not fit is dropped, not cut; the next one comes. */
static void test_too_long(void)
{
	struct rig t;

	rig_init(&t, 1);
	t.u[0]->room_len = 200;
	user_receive(t.u[0], 10);
	host_sends(&t, 201, 1);
	host_sends(&t, 200, 2);
	host_sends(&t, 1514, 3);
	host_sends(&t, 60, 4);
	CU_ASSERT_TRUE(user_wait(t.u[0], 2));
	CU_ASSERT_EQUAL_FATAL(t.u[0]->n, 2);
	CU_ASSERT_TRUE(is_frame(&t.u[0]->got[0], 200, 2));
	CU_ASSERT_TRUE(is_frame(&t.u[0]->got[1], 60, 4));
	rig_fini(&t);
}

/* Off: frames stay. They outlast a detach, too. */
static void test_off_and_detach(void)
{
	struct rig t;

	rig_init(&t, 1);
	user_receive(t.u[0], 10);
	user_off(t.u[0]);
	for (unsigned i = 0; i < 6; i++)
		host_sends(&t, 100, i);
	user_settle(t.u[0]);
	CU_ASSERT_EQUAL(t.u[0]->n, 0);
	user_receive(t.u[0], 3);
	CU_ASSERT_TRUE(user_wait(t.u[0], 3));
	CU_ASSERT_TRUE(t.u[0]->n == 3 && is_frame(&t.u[0]->got[2], 100, 2));
	user_detach(t.u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 0), 0);
	t.u[0] = user_attach(t.port, t.loop, 0);
	user_receive(t.u[0], 10);
	CU_ASSERT_TRUE(user_wait(t.u[0], 3));
	CU_ASSERT_TRUE(t.u[0]->n == 3 && is_frame(&t.u[0]->got[0], 100, 3));
	rig_fini(&t);
}

/* While the interface is down what is sent is dropped; then it goes on. */
static void test_down(void)
{
	uint8_t data[100];
	struct rig t;

	rig_init(&t, 1);
	user_receive(t.u[0], 10);
	netns_run("ip link set tap0 down");
	fill(data, 100, 1);
	CU_ASSERT_TRUE(user_send(t.u[0], data, 100));
	user_settle(t.u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 0), 0);
	netns_run("ip link set tap0 up");
	close(t.sock);
	t.sock = netns_socket("tap0", NETNS_ETHERTYPE, false);
	fill(data, 100, 2);
	CU_ASSERT_TRUE(user_send(t.u[0], data, 100));
	CU_ASSERT_TRUE(host_gets(&t, 100, 2));
	host_sends(&t, 100, 3);
	CU_ASSERT_TRUE(user_wait(t.u[0], 1));
	CU_ASSERT_EQUAL(t.n_down, 0);
	rig_fini(&t);
}

static int tun_open(const char *name, short flags)
{
	struct ifreq ifr = {.ifr_flags = flags};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	must(fd, "/dev/net/tun");
	strcpy(ifr.ifr_name, name);
	MUST(ioctl(fd, TUNSETIFF, &ifr));
	return fd;
}

#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

static void fds_open(struct rig *t, const int *fds, unsigned n)
{
	struct vio_port_tap_config cfg = {.fds = fds, .n_fds = (uint16_t)n};
	struct vio_port *port;

	memset(t, 0, sizeof(*t));
	MUST(vio_port_tap_open(&cfg, &port));
	rig_on_port(t, port, n);
	rig_up(t);
}

static void test_by_fd(void)
{
	struct vio_port_info info;
	uint8_t data[100];
	struct rig t;
	int fds[2];

	fds[0] = tun_open("tapfd", TAP_FLAGS | IFF_MULTI_QUEUE);
	fds[1] = tun_open("tapfd", TAP_FLAGS | IFF_MULTI_QUEUE);
	fds_open(&t, fds, 2);
	CU_ASSERT_STRING_EQUAL(vio_port_tap_name(t.port), "tapfd");
	CU_ASSERT_EQUAL(vio_port_info(t.port, &info), 0);
	CU_ASSERT_EQUAL(info.max_pairs, 2);
	CU_ASSERT_EQUAL(info.mtu, 1500);
	netns_run("ip link set tapfd mtu 9000");
	CU_ASSERT_EQUAL(vio_port_info(t.port, &info), 0);
	CU_ASSERT_EQUAL(info.mtu, 9000);
	for (unsigned i = 0; i < 2; i++) {
		fill(data, 100, i);
		CU_ASSERT_TRUE(user_send(t.u[i], data, 100));
		CU_ASSERT_TRUE(host_gets(&t, 100, i));
		user_receive(t.u[i], 10); /* the descriptors do not block any more */
	}
	rig_fini(&t);
	CU_ASSERT_EQUAL(fcntl(fds[0], F_GETFD), -1);
	CU_ASSERT_EQUAL(fcntl(fds[1], F_GETFD), -1);
}

/* Descriptors that will not do stay the caller's. */
static void test_wrong_fd(void)
{
	static const short flags[] = {IFF_TAP | IFF_NO_PI, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int fds[2] = {-1, -1};
	struct vio_port_tap_config cfg = {.fds = fds, .n_fds = 1};
	struct vio_port *port;

	for (unsigned i = 0; i < VIO_ARRAY_LEN(flags); i++) {
		fds[0] = tun_open("tapx", flags[i]);
		CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -EINVAL);
		CU_ASSERT_EQUAL(close(fds[0]), 0);
	}
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -ENOTTY);
	CU_ASSERT_EQUAL(close(fds[0]), 0);
	fds[0] = tun_open("tapx", TAP_FLAGS);
	cfg.name = "tapx";
	CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -EINVAL);
	cfg.name = NULL;
	cfg.pairs = 2;
	CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -EINVAL);
	cfg.pairs = 0;
	cfg.n_fds = 2; /* not of many queues */
	fds[1] = tun_open("tapy", TAP_FLAGS);
	CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -EINVAL);
	close(fds[0]);
	close(fds[1]);
	fds[0] = tun_open("tapx", TAP_FLAGS | IFF_MULTI_QUEUE); /* of two interfaces */
	fds[1] = tun_open("tapy", TAP_FLAGS | IFF_MULTI_QUEUE);
	CU_ASSERT_EQUAL(vio_port_tap_open(&cfg, &port), -EINVAL);
	CU_ASSERT_EQUAL(close(fds[0]), 0);
	CU_ASSERT_EQUAL(close(fds[1]), 0);
}

static int open_tap(const char *name, uint16_t pairs, struct vio_port **port)
{
	return vio_port_tap_open(&(struct vio_port_tap_config){.name = name, .pairs = pairs}, port);
}

static void test_by_name(void)
{
	struct vio_port *port, *other;

	CU_ASSERT_EQUAL(open_tap("a-name-too-long-for-it", 1, &port), -EINVAL);
	CU_ASSERT_EQUAL(open_tap("tap0", 257, &port), -EINVAL);
	CU_ASSERT_EQUAL(open_tap("lo", 1, &port), -EINVAL);
	MUST(open_tap(NULL, 1, &port)); /* a name of the kernel's choice */
	CU_ASSERT_NOT_EQUAL(if_nametoindex(vio_port_tap_name(port)), 0);
	CU_ASSERT_EQUAL(open_tap(vio_port_tap_name(port), 1, &other), -EBUSY);
	vio_port_close(port);
	CU_ASSERT_EQUAL(if_nametoindex("tap0"), 0); /* it goes with its port */

	netns_run("ip tuntap add single mode tap; ip tuntap add many mode tap multi_queue");
	CU_ASSERT_EQUAL(open_tap("single", 2, &port), -EINVAL);
	MUST(open_tap("single", 1, &port));
	vio_port_close(port);
	MUST(open_tap("many", 1, &port));
	vio_port_close(port);
	MUST(open_tap("many", 3, &port));
	vio_port_close(port);
	CU_ASSERT_NOT_EQUAL(if_nametoindex("single"), 0);
	CU_ASSERT_NOT_EQUAL(if_nametoindex("many"), 0);
	netns_run("ip link del single; ip link del many");
}

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

/* The interface is deleted: the link goes down, once, and nothing spins or waits. */
static void deleted(struct rig *t, const char *command)
{
	struct vio_port_info info;
	uint8_t data[100] = {0};

	for (unsigned i = 0; i < t->pairs; i++)
		user_receive(t->u[i], i == 1 ? 0 : 10); /* one of them is not looking */
	user_settle(t->u[0]);
	netns_run(command);
	for (unsigned i = 0; i < 100 && t->n_down == 0; i++)
		vio_loop_manual_run(t->loop, 10);
	CU_ASSERT_EQUAL(t->n_down, 1);
	user_settle(t->u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t->loop, 0), 0);
	for (unsigned i = 0; i < t->pairs; i++) {
		CU_ASSERT_TRUE(user_send(t->u[i], data, 100));
		user_receive(t->u[i], 10);
		vio_port_select(t->u[i]->pq, false);
		vio_port_select(t->u[i]->pq, true);
	}
	user_settle(t->u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t->loop, 0), 0);
	CU_ASSERT_EQUAL(t->n_down, 1);
	CU_ASSERT_EQUAL(t->n_up, 0);
	CU_ASSERT_EQUAL(vio_port_set_offloads(t->port, BIT(GUEST_CSUM)), 0);
	CU_ASSERT_EQUAL(vio_port_info(t->port, &info), 0);
	CU_ASSERT_FALSE(info.link_up);
	user_detach(t->u[0]);
	t->u[0] = user_attach(t->port, t->loop, 0);
	user_receive(t->u[0], 10);
	user_settle(t->u[0]);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t->loop, 0), 0);
}

static void test_deleted(void)
{
	struct rig t;

	for (unsigned pairs = 1; pairs <= 4; pairs += 3) {
		rig_init(&t, pairs);
		deleted(&t, "ip link del tap0");
		rig_fini(&t);
	}
}

/*
 * A full port: what is sent waits in a slow queue behind a bridge, and counts against the send
 * buffer of the tap it came by.
 */
static bool slow_init(struct rig *t)
{
	int fd = tun_open("tap0", TAP_FLAGS), size = 8000;

	MUST(ioctl(fd, TUNSETSNDBUF, &size));
	fds_open(t, &fd, 1);
	netns_run("ip tuntap add slow mode tap && ip link set slow up");
	if (!netns_try("ip link add br0 type bridge && ip link set br0 up && "
		       "ip link set tap0 master br0 && ip link set slow master br0 && "
		       "tc qdisc add dev slow root tbf rate 4mbit burst 2000 limit 1000000")) {
		printf("left out: no bridge, or no tbf queue ");
		return false;
	}
	return true;
}

static void test_backpressure(void)
{
	uint8_t data[1000];
	unsigned sent = 0, waits = 0;
	int carrier;
	struct rig t;

	if (slow_init(&t)) {
		carrier = tun_open("slow", TAP_FLAGS); /* an open end to have a carrier */
		netns_run("for n in $(seq 100); do ip link show slow | grep -q 'state UP' && "
			  "break; sleep 0.05; done");
		fill(data, sizeof(data), 1);
		memset(data, 2, 6); /* to one address: the bridge passes it on, not a copy */
		for (unsigned turn = 0; turn < 1000 && sent < 100; turn++) {
			if (user_send(t.u[0], data, sizeof(data))) {
				sent++;
				continue;
			}
			t.u[0]->n_writable = 0;
			/* Trying again is allowed, and what comes next is not lost by it. */
			sent += user_send(t.u[0], data, sizeof(data));
			CU_ASSERT_EQUAL(t.u[0]->n_writable, 0);
			for (unsigned i = 0; i < 100 && !t.u[0]->n_writable; i++)
				vio_loop_manual_run(t.loop, 10);
			CU_ASSERT_EQUAL(t.u[0]->n_writable, 1);
			CU_ASSERT_EQUAL(vio_loop_manual_run(t.loop, 0), 0); /* told once */
			waits++;
		}
		CU_ASSERT(sent >= 100);
		CU_ASSERT(waits > 0);
		printf("(%u waits) ", waits);
		/* Deleted while a sender waits: it is told, and what it sends is dropped. */
		for (unsigned i = 0; i < 1000 && user_send(t.u[0], data, sizeof(data)); i++)
			;
		t.u[0]->n_writable = 0;
		netns_run("ip link del tap0");
		for (unsigned i = 0; i < 100 && !t.u[0]->n_writable; i++)
			vio_loop_manual_run(t.loop, 10);
		CU_ASSERT_EQUAL(t.u[0]->n_writable, 1);
		CU_ASSERT_TRUE(user_send(t.u[0], data, sizeof(data)));
		user_settle(t.u[0]);
		CU_ASSERT_EQUAL(t.n_down, 1);
		close(carrier);
	}
	rig_fini(&t);
	netns_try("ip link del br0; ip link del slow");
}

/* A macvtap on one end of a cable; the host's side is the other end. */
static bool macvtap_init(struct rig *t, unsigned pairs)
{
	struct vio_port_tap_config cfg = {.name = "mv0", .pairs = (uint16_t)pairs};
	struct vio_port *port;
	char command[300];
	int r;

	memset(t, 0, sizeof(*t));
	t->sock = -1;
	if (!netns_try("ip link add v0 type veth peer name v1 2>/dev/null && "
		       "ip link set v0 up && ip link set v1 up")) {
		printf("left out: no veth interfaces ");
		return false;
	}
	/* The number is in the name of the device node, which namespaces share. */
	snprintf(command, sizeof(command),
		 "ip link add link v0 name mv0 index %d numtxqueues 4 numrxqueues 4 "
		 "address 02:00:00:00:00:77 type macvtap mode bridge 2>/dev/null && "
		 "ip link set mv0 up promisc on",
		 (int)getpid() + 100000);
	if (!netns_try(command)) {
		printf("left out: no macvtap interfaces ");
		netns_run("ip link del v0");
		return false;
	}
	r = vio_port_macvtap_open(&cfg, &port);
	if (r == -ENOENT || r == -EPERM || r == -EACCES) {
		printf("left out: no /dev/tapN (%s) ", strerror(-r));
		netns_run("ip link del v0");
		return false;
	}
	must(r, "vio_port_macvtap_open");
	/* A fresh cable takes a moment before it carries anything. */
	netns_run("for i in v0 v1 mv0; do for n in $(seq 100); do "
		  "ip link show $i | grep -q 'state UP' && break; sleep 0.05; done; done");
	rig_on_port(t, port, pairs);
	t->sock = netns_socket("v1", NETNS_ETHERTYPE, false);
	return true;
}

static void macvtap_fini(struct rig *t)
{
	rig_fini(t);
	netns_try("ip link del v0");
}

static bool gone_room(struct vio_port_queue *pq, struct vio_port_room *room)
{
	static struct iovec iov; /* .len 4096, where nothing can be written */

	(void)pq;
	if (!iov.iov_base)
		iov = (struct iovec){
			mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096};
	*room = (struct vio_port_room){.iov = &iov, .n_iov = 1, .len = 4096};
	return true;
}

/* A driver whose memory is gone loses its frames, not the interface. A tap does not say so. */
static void memory_gone(struct rig *t)
{
	struct vio_port_user gone = port_user;

	gone.room = gone_room;
	t->u[0]->pq->user = &gone;
	user_receive(t->u[0], 10);
	for (unsigned i = 0; i < 3; i++)
		host_sends(t, 100, i);
	for (unsigned i = 0; i < 5; i++)
		vio_loop_manual_run(t->loop, 10);
	CU_ASSERT_EQUAL(t->n_down, 0);
	CU_ASSERT_EQUAL(vio_loop_manual_run(t->loop, 0), 0);
	user_drop(t->u[0]);
	t->u[0]->pq->user = &port_user;
	host_sends(t, 100, 7);
	CU_ASSERT_TRUE(user_wait(t->u[0], 1));
	CU_ASSERT_TRUE(t->u[0]->n == 1 && is_frame(&t->u[0]->got[0], 100, 7));
}

static void test_memory_of_the_room_is_gone(void)
{
	struct rig t;

	rig_init(&t, 1);
	memory_gone(&t);
	rig_fini(&t);
	if (!macvtap_init(&t, 1))
		return;
	memory_gone(&t);
	macvtap_fini(&t);
}

static void test_macvtap(void)
{
	struct vio_port_info info;
	uint8_t data[2000];
	struct rig t;

	if (!macvtap_init(&t, 1))
		return;
	CU_ASSERT_EQUAL(vio_port_info(t.port, &info), 0);
	CU_ASSERT_TRUE(info.has_mac && info.link_up);
	CU_ASSERT_EQUAL(memcmp(info.mac, "\x02\0\0\0\0\x77", 6), 0);
	CU_ASSERT_EQUAL(info.mtu, 1500);
	CU_ASSERT_TRUE(info.offloads & BIT(CSUM));
	user_receive(t.u[0], 100);
	for (unsigned i = 1; i < VIO_ARRAY_LEN(lengths); i++) {
		host_sends(&t, lengths[i], i);
		CU_ASSERT_TRUE(user_wait(t.u[0], 1));
		CU_ASSERT_TRUE(t.u[0]->n == 1 && is_frame(&t.u[0]->got[0], lengths[i], i));
		user_drop(t.u[0]);
		fill(data, lengths[i], i + 100);
		CU_ASSERT_TRUE(user_send(t.u[0], data, lengths[i]));
		CU_ASSERT_TRUE(host_gets(&t, lengths[i], i + 100));
	}
	CU_ASSERT_EQUAL(vio_port_set_offloads(t.port, info.offloads), 0);
	CU_ASSERT_EQUAL(vio_port_set_offloads(t.port, 0), 0);
	deleted(&t, "ip link del mv0");
	macvtap_fini(&t);
}

static void test_macvtap_queues(void)
{
	uint8_t data[100];
	struct rig t;

	if (!macvtap_init(&t, 4))
		return;
	for (unsigned i = 0; i < 4; i++) {
		user_receive(t.u[i], 100000);
		fill(data, 100, i);
		CU_ASSERT_TRUE(user_send(t.u[i], data, 100));
		CU_ASSERT_TRUE(host_gets(&t, 100, i));
	}
	deleted(&t, "ip link del mv0");
	macvtap_fini(&t);
}

static void test_macvtap_names(void)
{
	struct vio_port_tap_config cfg = {.name = "nosuch"};
	struct vio_port *port;

	CU_ASSERT_EQUAL(vio_port_macvtap_open(&cfg, &port), -ENODEV);
	cfg.name = NULL;
	CU_ASSERT_EQUAL(vio_port_macvtap_open(&cfg, &port), -EINVAL);
	cfg.name = "a-name-too-long-for-it";
	CU_ASSERT_EQUAL(vio_port_macvtap_open(&cfg, &port), -EINVAL);
}

static CU_TestInfo tests[] = {
	{"both ways", test_both_ways},
	{"any number of pieces", test_pieces},
	{"no room", test_no_room},
	{"batches", test_batch},
	{"longer than the room", test_too_long},
	{"off, detach", test_off_and_detach},
	{"interface down", test_down},
	{"by descriptor", test_by_fd},
	{"descriptors that will not do", test_wrong_fd},
	{"by name", test_by_name},
	{"offload bits", test_offload_bits},
	{"offloads received", test_offloads_received},
	{"offloads sent", test_offloads_sent},
	{"multi-queue", test_multi_queue},
	{"deleted", test_deleted},
	{"backpressure", test_backpressure},
	{"memory of the room is gone", test_memory_of_the_room_is_gone},
	{"macvtap", test_macvtap},
	{"macvtap: multi-queue", test_macvtap_queues},
	{"macvtap: names", test_macvtap_names},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	if (access("/dev/net/tun", R_OK | W_OK) < 0) {
		printf("skipped: /dev/net/tun: %s\n", strerror(errno));
		return SUITE_SKIP;
	}
	if (!netns_enter())
		return SUITE_SKIP;
	return suite_run("tap", tests);
}
