// Sends requests on a fixed schedule and measures from when each was due, so that a proxy that stalls cannot hide it: what
// would have been sent meanwhile waits, and its waiting counts ("open loop").
//
//   openloop PORT RATE SECONDS CONNECTIONS < REQUEST
//
// REQUEST is the bytes of one request without a body. Prints one line of JSON: requests, how many had another status than 200,
// errors, and latencies in microseconds. Needs responses with a Content-Length.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 16 << 10, EVENTS = 64, PATIENCE_NS = 2000000000 };

typedef struct connection {
    struct connection *next_idle;
    int fd;
    int64_t due; // of the request that is in flight
    int length;
    char buffer[BUFFER];
} connection;

static char request[BUFFER];
static int request_length, port, poller;
static connection *idle;
static int64_t begin, interval;
static long total, sent, answered, bad, errors;
static double *latencies; // microseconds

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void give_up(const char *what) {
    perror(what);
    exit(1);
}

static void dial(connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&address, sizeof address)) give_up("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    c->length = 0;
    c->next_idle = idle;
    idle = c;
}

// Sends what is due, as long as there is a connection for it.
static void send_due(int64_t time) {
    while (idle && sent < total && begin + sent * interval <= time) {
        connection *c = idle;
        idle = c->next_idle;
        c->due = begin + sent * interval;
        sent++;
        if (send(c->fd, request, request_length, MSG_NOSIGNAL) != request_length) give_up("send");
    }
}

// Whether the whole response is in the buffer.
static int is_complete(connection *c) {
    char *end = memmem(c->buffer, c->length, "\r\n\r\n", 4);
    if (!end) return 0;
    *end = 0;
    char *size = strcasestr(c->buffer, "\r\ncontent-length:");
    *end = '\r';
    return size && c->length >= end + 4 - c->buffer + atol(size + 17);
}

static void finish(connection *c) {
    latencies[answered++] = (now() - c->due) / 1000.0;
    if (strncmp(c->buffer + 9, "200", 3)) bad++;
    c->length = 0;
    c->next_idle = idle;
    idle = c;
}

static void receive(connection *c) {
    int got = recv(c->fd, c->buffer + c->length, BUFFER - 1 - c->length, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { // closed by the proxy: the request that was in flight is lost
        close(c->fd);
        errors++;
        answered++;
        latencies[answered - 1] = (now() - c->due) / 1000.0;
        dial(c);
        return;
    }
    c->length += got;
    c->buffer[c->length] = 0;
    if (is_complete(c)) finish(c);
}

static int by_size(const void *a, const void *b) {
    double difference = *(double *)a - *(double *)b;
    return (difference > 0) - (difference < 0);
}

static double share(double part) {
    long at = answered * part;
    return answered ? latencies[at < answered ? at : answered - 1] : 0;
}

static void report(void) {
    qsort(latencies, answered, sizeof *latencies, by_size);
    printf("{\"requests\": %ld, \"bad\": %ld, \"errors\": %ld, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}\n",
           answered, bad, errors + total - answered, share(.5), share(.99), share(.999), share(1));
}

int main(int count, char **arguments) {
    if (count != 5) return fputs("usage: openloop PORT RATE SECONDS CONNECTIONS < REQUEST\n", stderr), 2;
    port = atoi(arguments[1]);
    long rate = atol(arguments[2]), connections = atol(arguments[4]);
    total = rate * atof(arguments[3]);
    interval = 1000000000LL / rate;
    latencies = malloc((total + 1) * sizeof *latencies);
    request_length = fread(request, 1, sizeof request, stdin);
    poller = epoll_create1(0);
    for (long i = 0; i < connections; i++) dial(calloc(1, sizeof(connection)));

    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec every = {.it_interval.tv_nsec = interval, .it_value.tv_nsec = interval};
    timerfd_settime(timer, 0, &every, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = 0}, events[EVENTS];
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event);
    begin = now();
    int64_t end = begin + total * interval + PATIENCE_NS;
    while (answered < total && now() < end) {
        int ready = epoll_wait(poller, events, EVENTS, 100);
        for (int i = 0; i < ready; i++) {
            uint64_t ticks;
            if (events[i].data.ptr) receive(events[i].data.ptr);
            else if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) give_up("timer");
        }
        send_due(now());
    }
    report();
}
