"""Languages: what is detected, that nothing else than the text decides, and in which a question is looked up."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import detection
from store.analyzer import Analyzer
from store.detection import candidates, detect, likeliest

TEXTS = {
    "arabic": "يقع المغرب في شمال أفريقيا وعاصمته الرباط وأكبر مدنه الدار البيضاء.",
    "catalan": "Catalunya és una comunitat autònoma d'Espanya situada al nord-est de la península Ibèrica. La capital "
    "n'és Barcelona i també la ciutat més poblada.",
    "czech": "Česká republika je vnitrozemský stát ve střední Evropě. Hlavním městem je Praha, která je také největším "
    "městem země.",
    "danish": "Danmark er et land i Norden, der ligger mellem Nordsøen og Østersøen. Hovedstaden er København, og "
    "landet har knap seks millioner indbyggere.",
    "dutch": "Nederland is een land in West-Europa dat grotendeels onder de zeespiegel ligt. De hoofdstad is Amsterdam "
    "maar de regering zit in Den Haag.",
    "english": "Morocco lies in the north of Africa; its capital is Rabat, and its largest city is Casablanca.",
    "finnish": "Suomi on valtio Pohjois-Euroopassa Itämeren rannalla. Maan pääkaupunki on Helsinki ja siellä asuu yli "
    "puoli miljoonaa ihmistä.",
    "french": "La France est un pays dont la métropole se situe en Europe de l'Ouest. Elle s'étend de la mer "
    "Méditerranée à la Manche et à la mer du Nord.",
    "german": "Marokko liegt im Norden von Afrika, die Hauptstadt ist Rabat und die größte der Städte ist Casablanca.",
    "greek": "Η Ελλάδα είναι χώρα της νοτιοανατολικής Ευρώπης. Πρωτεύουσα της χώρας είναι η Αθήνα.",
    "hindi": "भारत एक विशाल देश है जो दक्षिण एशिया में स्थित है। यहाँ की जनसंख्या बहुत अधिक है और लोग कई भाषाएँ बोलते हैं।",
    "hungarian": "Magyarország Közép-Európában található ország, amelynek fővárosa Budapest. Az ország lakossága közel "
    "tízmillió fő.",
    "indonesian": "Indonesia adalah sebuah negara kepulauan di Asia Tenggara yang dilintasi garis khatulistiwa dan "
    "berada di antara benua Asia dan Australia.",
    "italian": "L'Italia è una repubblica parlamentare situata nell'Europa meridionale, il cui territorio coincide in "
    "gran parte con la regione geografica italiana.",
    "norwegian": "Norge er et land i Norden som ligger på den vestlige delen av den skandinaviske halvøy. Hovedstaden "
    "er Oslo, og landet har fem millioner innbyggere.",
    "persian": "ایران کشوری در غرب آسیا است. پایتخت این کشور تهران است و زبان رسمی آن فارسی می\u200cباشد.",
    "polish": "Polska jest państwem położonym w Europie Środkowej między Morzem Bałtyckim na północy a Sudetami i "
    "Karpatami na południu. Stolicą Polski jest Warszawa.",
    "portuguese": "Portugal é um país situado no sudoeste da Europa, cujo território se localiza na zona ocidental da "
    "Península Ibérica e em arquipélagos no Atlântico.",
    "romanian": "România este un stat situat în sud-estul Europei Centrale, pe cursul inferior al Dunării, la nord de "
    "peninsula Balcanică și la țărmul Mării Negre.",
    "russian": "Марокко находится на севере Африки, столица страны Рабат, а самый большой из городов Касабланка.",
    "serbian": "Србија је држава у југоисточној Европи. Главни град је Београд, који је уједно и највећи град у земљи.",
    "spanish": "Marruecos está en el norte de África; la capital es Rabat y la mayor de sus ciudades es Casablanca.",
    "swedish": "Sverige är ett land i Norden på den skandinaviska halvön i norra Europa. Huvudstaden är Stockholm och "
    "landet har ungefär tio miljoner invånare.",
    "tamil": "தமிழ்நாடு இந்தியாவின் தென்பகுதியில் உள்ள ஒரு மாநிலம் ஆகும். இதன் தலைநகரம் சென்னை.",
    "turkish": "Türkiye'nin başkenti Ankara'dır. İstanbul ise ülkenin en kalabalık şehridir ve tarih boyunca birçok "
    "imparatorluğa başkentlik yapmıştır.",
}
NOT_SNOWBALL = {
    "Bengali": "বাংলাদেশ দক্ষিণ এশিয়ার একটি রাষ্ট্র। দেশটির রাজধানী ঢাকা এবং এটি সবচেয়ে বড় শহর।",
    "Bulgarian": "България е държава в Югоизточна Европа. Столицата на страната е София, която е и най-големият град.",
    "Croatian": "Hrvatska je država u jugoistočnoj Europi. Glavni grad je Zagreb, koji je ujedno i najveći grad.",
    "Hebrew": "ישראל היא מדינה במזרח התיכון. בירת המדינה היא ירושלים והעיר הגדולה ביותר בה היא תל אביב.",
    "Slovak": "Slovensko je vnútrozemský štát v strednej Európe. Hlavným mestom je Bratislava, ktorá je aj najväčším "
    "mestom krajiny.",
    "Ukrainian": "Україна — держава у Східній Європі. Столиця та найбільше місто країни — Київ.",
    "Vietnamese": "Việt Nam là một quốc gia nằm ở phía đông bán đảo Đông Dương. Thủ đô của Việt Nam là Hà Nội.",
}
UNSPACED = {
    "Chinese": "摩洛哥位于非洲西北部，首都是拉巴特，最大的城市是卡萨布兰卡。",
    "Japanese": "日本は東アジアに位置する島国である。首都は東京で、databasesの研究が盛んである。",
    "Korean": "대한민국은 동아시아의 한반도 남부에 있는 나라이다. 수도는 서울이다.",
    "Thai": "ประเทศไทยเป็นประเทศในเอเชียตะวันออกเฉียงใต้ มีเมืองหลวงคือกรุงเทพมหานคร",
}
BAD = [
    "",
    " \n\t ",
    "?!… — 。、",
    "😀🎉🏳️\u200d🌈",
    "\u0301\u0308\u064b",
    "\x00\x00",
    "\u200b\u200d\u202e\ufeff",
    "\ud800",
    "\u202eabc\u202c אבג abc",
    "a",
    "東",
    "١٢٣ 456",
    "| 12 | 3.4 |\n| 1 | 2 |",
    "NaCl H2O CO2 Fe2O3 CaCO3 HCl H2SO4 KMnO4 C6H12O6",
    "for (int i = 0; i < n; i++) { x[i] = y[i] * 2; }",
    "слово mot word λέξη 語 " * 1000,
    "word " * 5000,
    "x" * 100_000,
]


class TestWhatCannotBeTold:
    @pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
    def test_bad_input_never_fails_in_any_language(self, text):
        found = detect(text[:300], text)
        assert found is None or isinstance(found, str)
        many = Analyzer(*TEXTS, "none", detects=True)
        for language in many.languages:
            assert all(term and not any(char.isspace() for char in term) for term in many.terms(text, language))
        assert many.question_terms(text) is not None
        assert many.of(text).terms(text) == many.terms(text)

    @pytest.mark.parametrize("text", ["", "?!", "42", "Zürich 2016", "int x = y[3];", "NaCl H2O CO2"])
    def test_too_little_text_leaves_the_language_open(self, text):
        assert detect("", text) is None

    def test_a_document_whose_language_is_open_takes_the_index_s_commonest(self):
        documents = [("", TEXTS["german"]), ("", TEXTS["german"] + " Ja."), ("", TEXTS["english"]), ("", "Häuser")]
        analyzer = Analyzer.for_documents(documents)
        assert analyzer.name == "unicode-bigram-2:auto:german+english"
        assert analyzer.language_of("", "Häuser") == "german"
        assert Analyzer.for_documents([("", "Häuser")]).name == Analyzer.for_documents([]).name

    @given(st.text(max_size=200), st.text(max_size=800))
    def test_nothing_else_than_title_and_text_decides(self, title, text):
        assert detect(title, text) == detect(title, text)


@pytest.mark.parametrize("language", TEXTS)
def test_a_few_sentences_tell_each_language(language):
    assert detect("", TEXTS[language]) == language


@pytest.mark.parametrize("language", NOT_SNOWBALL)
def test_a_language_that_snowball_does_not_know_is_not_taken_for_its_neighbour(language):
    assert detect("", NOT_SNOWBALL[language]) == "none"


@pytest.mark.parametrize("language", UNSPACED)
def test_words_within_scripts_without_spaces_are_english(language):
    assert detect("", UNSPACED[language]) == "english"


def test_a_title_alone_may_tell():
    assert detect("Die Geschichte der Stadt und das Leben in den Häusern", "1 2 3") == "german"


def test_english_scripts_and_common_words_need_no_classifier():
    """100,000 English documents must not each wait for it, nor a process that has only these load it."""
    texts = [*(TEXTS[one] for one in ("english", "greek", "tamil")), *UNSPACED.values()]
    program = (
        "import sys; from store.detection import detect\n"
        f"for text in {texts!r}: detect('', text)\n"
        "sys.exit('py3langid' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class TestQuestions:
    def test_in_an_index_of_one_language_are_in_that_one(self):
        assert candidates("Wie heißt das?", ["english"]) == ["english"]

    def test_are_never_put_to_a_classifier(self, monkeypatch):
        monkeypatch.setattr(detection, "_classifier", None)
        for question in [*BAD, "Qué equipo ganó", "Denver Broncos"]:
            assert candidates(question, [*TEXTS, "none"])
            assert likeliest(question, [*TEXTS, "none"])

    @pytest.mark.parametrize(
        ("question", "languages"),
        [
            ("Wie viele Einwohner hat die Stadt?", ["german"]),
            ("How many people live in the city?", ["english"]),
            ("Сколько жителей в городе?", ["russian"]),
            ("Denver Broncos", ["english", "german"]),
            ("Gründung Denver", ["english", "german"]),
            ("Что такое Kafka", ["english", "german", "russian"]),
            ("北京", ["english"]),
            ("", ["english"]),
        ],
    )
    def test_are_narrowed_by_script_and_stop_words_else_looked_up_in_all(self, question, languages):
        assert candidates(question, ["english", "german", "russian"]) == languages

    def test_a_few_words_that_are_english_too_do_not_make_polish_english(self):
        polish = "Kto to jest i do kiedy on panował nad miastem"
        assert candidates(polish, ["english", "polish"]) == ["english", "polish"]

    def test_words_have_their_stems_of_each_language_once(self):
        analyzer = Analyzer("english", "german", detects=True)
        assert analyzer.question_terms("Häuser running") == ["häuser", "run", "haus", "running"]
        assert analyzer.question_terms("Kafka Kafka") == ["kafka", "kafka"]

    @pytest.mark.parametrize(
        ("question", "document", "language"),
        [
            ("tuning checkpoints", "Смотрите checkpoints и vacuuming.", "russian"),
            ("How do I tune the checkpoints?", "Смотрите checkpoints и vacuuming.", "russian"),
            ("sharding policies", "Δείτε sharding policies εδώ.", "greek"),
            ("Зелёные черепахи", "The Russian for green turtles is Зелёные черепахи.", "english"),
            ("replicas", "副本 replicas 是什么", "none"),
        ],
    )
    def test_find_words_in_documents_of_another_script(self, question, document, language):
        analyzer = Analyzer("english", "russian", "greek", "none", detects=True)
        shared = set(analyzer.question_terms(question)) & set(analyzer.terms(document, language))
        assert shared
        assert shared.isdisjoint({"how", "do", "i", "the"})

    @given(st.text() | st.sampled_from([*TEXTS.values(), *UNSPACED.values(), "How do I do\u00adcument this?"]))
    def test_are_looked_up_by_terms_that_the_snapshot_weighs(self, question):
        for analyzer in (
            Analyzer("english", "german", "turkish", "none", detects=True),
            Analyzer("english", "russian", "arabic", "german", detects=True),
            Analyzer("english"),
        ):
            weighed = set(analyzer.all_terms(question))
            assert weighed >= set(analyzer.question_terms(question))
            assert weighed >= set(analyzer.of(question).terms(question))
