/* Listens to an output of a running pipeline and writes its sound: written from docs/protocol.md alone.
 *   cc -O2 -o listen listen.c -lzmq
 *   ./listen RUN_FOLDER NODE.PORT OUT.f32 [SECONDS]   (float32, interleaved; holes in the positions become silence) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

static unsigned char out[512], *end = out; /* the msgpack word that is being written */
static void byte(int b) { *end++ = (unsigned char)b; }
static void text(const char *s) { size_t n = strlen(s); byte(0xd9); byte((int)n); memcpy(end, s, n); end += n; }
static void number(uint64_t v) { byte(0xcf); for (int i = 56; i >= 0; i -= 8) byte((int)(v >> i) & 255); }
static void pair(const char *key, uint64_t v) { text(key); number(v); }
static void word(int pairs, const char *t) { end = out; byte(0x80 | pairs); text("t"); text(t); }
static void say(void *socket) { zmq_send(socket, out, (size_t)(end - out), ZMQ_DONTWAIT); }
static uint64_t le(const unsigned char *p, int bytes) { uint64_t v = 0; while (bytes--) v = v << 8 | p[bytes]; return v; }

int main(int argc, char **argv) {
    if (argc < 4) return fprintf(stderr, "usage: listen RUN_FOLDER NODE.PORT OUT.f32 [SECONDS]\n"), 2;
    char path[512], token[64] = "", name[64];
    snprintf(path, sizeof path, "%s/token", argv[1]);
    FILE *file = fopen(path, "r"), *sound = fopen(argv[3], "wb");
    if (!file || !sound || !fgets(token, sizeof token, file)) return fprintf(stderr, "no token, or no file\n"), 1;
    fclose(file);
    snprintf(name, sizeof name, "listen-in-c.%d", (int)getpid());
    snprintf(path, sizeof path, "ipc://%s/%s", argv[1], argv[2]);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_ROUTING_ID, name, strlen(name));
    zmq_connect(socket, path);

    static unsigned char in[1 << 24];
    const uint64_t window = 50;
    uint64_t epoch = 0, delivered = 0, first = 0, next = 0, missing = 0, frames = 0, generation = 0, limit = ~0ull;
    int greeted = 0, channels = 0, last = 0;
    while (!last && next - first < limit) {
        if (greeted) { /* credit, after each frame and every 100 ms */
            word(5, "credit"); pair("stream", 0); pair("epoch", epoch);
            pair("delivered", delivered); pair("granted", delivered + window);
        } else { /* hello, every 20 ms until welcomed */
            word(8, "hello"); pair("v", 1); pair("stream", 0); pair("instance", (uint64_t)getpid());
            pair("window", window); text("since"); byte(0xc0);
            text("token"); text(token); text("policy"); text("drop_oldest");
        }
        say(socket);
        zmq_pollitem_t poll = {socket, 0, ZMQ_POLLIN, 0};
        if (zmq_poll(&poll, 1, greeted ? 100 : 20) < 1) continue;
        int size = zmq_recv(socket, in, sizeof in, 0);
        if (size > 6 && in[0] != 'A') { /* a word: its first key is `t` */
            if (!memcmp(in + 4, "welcome", 7)) greeted = 1;
            if (!memcmp(in + 4, "who", 3)) greeted = 0;
            if (!memcmp(in + 4, "refused", 7)) return fprintf(stderr, "refused\n"), 1;
        }
        if (size < 64 || size > (int)sizeof in || memcmp(in, "APF1\1", 5)) continue;
        uint64_t samples = le(in + 12, 4), flags = le(in + 20, 2), position = le(in + 40, 8), own = le(in + 56, 4);
        if (le(in + 24, 4) < epoch) continue; /* the last words of a producer that died */
        epoch = le(in + 24, 4), delivered = le(in + 32, 8), last = flags & 32;
        if (in[6] != 1 || !samples || own < generation || (frames && position < next)) continue;
        generation = own;
        if (!frames++) first = next = position, channels = in[7], limit = argc > 4 ? atof(argv[4]) * le(in + 8, 4) : ~0ull;
        for (missing += position - next; next < position; next++) /* holes are filled by position */
            for (int i = 0; i < channels; i++) fwrite("\0\0\0", 4, 1, sound);
        static const unsigned char silence[4 * 32];
        for (uint64_t i = 0; i < samples; i++)
            fwrite(flags & 2 ? silence : in + in[5] + i * 4 * channels, 4, (size_t)channels, sound);
        next = position + samples;
    }
    word(5, "credit"); pair("stream", 0); pair("epoch", epoch);
    pair("delivered", delivered); pair("granted", delivered + window); say(socket);
    word(1, "bye"); say(socket);
    printf("{\"frames\": %llu, \"first\": %llu, \"samples\": %llu, \"channels\": %d, \"missing\": %llu}\n",
           (unsigned long long)frames, (unsigned long long)first, (unsigned long long)(next - first), channels,
           (unsigned long long)missing);
    int linger = 200;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    return fclose(sound) || zmq_close(socket) || zmq_ctx_term(context);
}
