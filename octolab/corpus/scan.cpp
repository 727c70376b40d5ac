// Whether any of several short words occurs in a text, in one pass and blind to the case of ASCII letters.

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

extern "C" {

// words: lower-case words, one after the other, each ended by a zero byte; the last by two. Returns the number of the
// word that occurs first, counted from 0, or -1.
int32_t octolab_first_word(const unsigned char* text, int64_t length, const char* words) {
    std::vector<std::string> list;
    for (const char* at = words; *at; at += list.back().size() + 1) list.emplace_back(at);
    std::array<std::vector<int32_t>, 256> starting;
    std::array<uint8_t, 65536> pair{};  // whether two characters begin a word
    auto upper = [](unsigned char c) { return c >= 'a' && c <= 'z' ? static_cast<unsigned char>(c - 32) : c; };
    for (size_t i = 0; i < list.size(); ++i) {
        const unsigned char a = list[i][0], b = list[i][1];
        for (unsigned char x : {a, upper(a)})
            for (unsigned char y : {b, upper(b)}) pair[x << 8 | y] = 1;
        starting[a].push_back(static_cast<int32_t>(i));
    }
    auto lower = [](unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<unsigned char>(c + 32) : c; };
    for (int64_t place = 0; place + 1 < length; ++place) {
        if (!pair[text[place] << 8 | text[place + 1]]) continue;
        for (int32_t i : starting[lower(text[place])]) {
            const std::string& word = list[i];
            const int64_t size = static_cast<int64_t>(word.size());
            if (place + size > length) continue;
            int64_t k = 2;
            while (k < size && lower(text[place + k]) == static_cast<unsigned char>(word[k])) ++k;
            if (k >= size && lower(text[place + 1]) == static_cast<unsigned char>(word[1])) return i;
        }
    }
    return -1;
}

}  // extern "C"
