// MinHash signatures of many texts: shingles of words, one multiply-add hash a permutation, minimum over shingles.
//
// A word is a run of bytes above the space character; ASCII letters are lowered, nothing else is changed, so numbers and
// formulas stay what they are. Plain C interface for ctypes, no allocation beyond a word table a thread.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

inline uint64_t mix(uint64_t x) {  // splitmix64's finaliser: every bit of the result depends on every bit of x
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

inline uint64_t lowered(uint64_t x) {  // eight bytes at once: 'A'..'Z' to 'a'..'z'
    const uint64_t high = 0x8080808080808080ULL, ones = 0x0101010101010101ULL;
    uint64_t seven = x & ~high;
    uint64_t from_a = seven + (0x80 - 'A') * ones, beyond_z = seven + (0x80 - 'Z' - 1) * ones;
    uint64_t upper = (from_a & ~beyond_z & ~x) & high;
    return x | (upper >> 2);
}

inline uint64_t word_hash(const unsigned char* at, int64_t length) {
    uint64_t state = 0x9e3779b97f4a7c15ULL ^ static_cast<uint64_t>(length);
    while (length > 0) {
        uint64_t part = 0;
        std::memcpy(&part, at, length < 8 ? length : 8);
        state = (state ^ lowered(part)) * 0xd6e8feb86659fd93ULL;
        state ^= state >> 32;
        at += 8;
        length -= 8;
    }
    return state;
}

}  // namespace

extern "C" {

// text: all documents' bytes, one after the other; ends[d]: where document d ends. a, b: multipliers (odd) and addends.
// out: documents x permutations, row by row. A document of fewer words than n is one shingle of all it has; one without
// words has a signature of ones.
void octolab_minhash(const unsigned char* text, const int64_t* ends, int64_t documents, int32_t n, const uint32_t* a,
                     const uint32_t* b, int32_t permutations, uint32_t* out) {
    std::vector<uint64_t> words;
    std::vector<uint32_t> shingles;
    int64_t begin = 0;
    for (int64_t document = 0; document < documents; ++document) {
        const int64_t end = ends[document];
        words.clear();
        int64_t place = begin;
        while (place < end) {
            while (place < end && text[place] <= ' ') ++place;
            const int64_t start = place;
            while (place < end && text[place] > ' ') ++place;
            if (place > start) words.push_back(word_hash(text + start, place - start));
        }
        begin = end;
        uint32_t* signature = out + document * permutations;
        std::fill(signature, signature + permutations, 0xffffffffu);
        if (words.empty()) continue;
        const int64_t run = std::min<int64_t>(n, words.size());
        const int64_t count = static_cast<int64_t>(words.size()) - run + 1;
        shingles.resize(count);
        for (int64_t first = 0; first < count; ++first) {
            uint64_t state = 0;
            for (int64_t k = 0; k < run; ++k) state = state * 0x9e3779b97f4a7c15ULL + words[first + k];
            shingles[first] = static_cast<uint32_t>(mix(state));
        }
        for (int32_t block = 0; block < permutations; block += 32) {
            const int32_t width = std::min(32, permutations - block);
            uint32_t low[32], times[32], plus[32];
            for (int32_t i = 0; i < 32; ++i) {
                low[i] = 0xffffffffu;
                times[i] = i < width ? a[block + i] : 1;
                plus[i] = i < width ? b[block + i] : 0;
            }
            for (int64_t s = 0; s < count; ++s) {
                const uint32_t shingle = shingles[s];
                for (int32_t i = 0; i < 32; ++i) low[i] = std::min(low[i], shingle * times[i] + plus[i]);
            }
            std::copy(low, low + width, signature + block);
        }
    }
}

}  // extern "C"
