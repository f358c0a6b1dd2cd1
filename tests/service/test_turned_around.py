# signs and letters of many kinds
"""Lies of the same words: what the guardrail withholds, whatever was left out, moved or exchanged; and what passes."""

from __future__ import annotations

import pytest

from benchmarks.passages import Text, sources
from service.ground import Draft, check
from store.analyzer import Analyzer

ANALYZER = Analyzer("english", "german", "french", "spanish", "russian", "arabic", "none", detects=True)


def verdict(passage, claim, title="Page", analyzer=ANALYZER):
    found = check(Draft(claim, (1,), "", " "), sources([Text(title, passage)]), analyzer)
    return found.verdict, found.reason


NEGATION = [
    ("It is not just a new doctor showing up.", "It is just a new doctor showing up."),
    ("Tickets are only sold with the card.", "Tickets are not only sold with the card."),
    ("It ended in May (though not the films and shows).", "It ended in May (though the films and shows)."),
    ("If the guard is idle, and if the door is open, the alarm rings.", "If the door is open, the alarm rings."),
    ("The lynx isn’t tame around people.", "The lynx is tame around people."),
    ("The dog won’t attack strangers.", "The dog will attack strangers."),
    ("Neither the Senate nor the people supported the tribune.", "The Senate supported the tribune."),
    ("Neither the Senate nor the people supported the tribune.", "The people supported the tribune."),
    ("The drug is not safe and not effective.", "The drug is safe and effective."),
    ("Users must not share keys and must not reuse them.", "Users must share keys and must reuse them."),
    ("If the timeout is not set, requests are cancelled.", "If the timeout is set, requests are not cancelled."),
    ("The dye is non-toxic to fish in rivers.", "The dye is toxic to fish in rivers."),
    ("The dye is non-toxic.", "toxic."),
    ("Die Brücke ist nicht für Lastwagen gesperrt.", "Die Brücke ist für Lastwagen gesperrt."),
    ("Мост в городе не закрыт для машин.", "Мост в городе закрыт для машин."),
    ("الجسر غير مفتوح أمام الشاحنات.", "الجسر مفتوح أمام الشاحنات."),
    ("他不同意这个计划。", "他同意这个计划。"),
    ("El puente no está abierto al público.", "El puente está abierto al público."),
    ("Le pont n’est pas ouvert au public.", "Le pont est ouvert au public."),
]
SIGNS = [
    ("-12 degrees was the record low.", "12 degrees was the record low."),
    ("The record low was -12 degrees in Oslo.", "The record low was 12 degrees in Oslo."),
    ("The record was 12 degrees in Oslo.", "The record was -12 degrees in Oslo."),
    ("The balance is −300 euros.", "The balance is 300 euros."),
    ("Sales changed by +5% in May.", "Sales changed by -5% in May."),
    ("The match ended 3:2 in Rome.", "The match ended 2:3 in Rome."),
    ("The rule fires when size <= 5 holds.", "The rule fires when size >= 5 holds."),
    ("The rule fires when x > 5 holds.", "The rule fires when x < 5 holds."),
    ("Set the flag when count = 5 holds.", "Set the flag when count != 5 holds."),
    ("It is true when a && b hold.", "It is true when a || b hold."),
    ("The result is a + b in all cases.", "The result is a - b in all cases."),
    ("The option -v prints more.", "The option -V prints more."),
    ("Tolls were abolished in 1999.", "❌ Tolls were abolished in 1999."),
    ("Tolls were abolished in 1999.", "Tolls ≠ abolished in 1999."),
    ("Tolls were abolished in 1999.", "Tolls were ~~abolished~~ in 1999."),
]
FIGURES = [
    ("Support rose by 3 percentage points in May.", "Support rose by 3% in May."),
    ("Support rose by 3% in May.", "Support rose by 3 percentage points in May."),
    ("It helped 62% of patients.", "It helped 62 patients."),
    ("The current is 5 mA at rest.", "The current is 5 MA at rest."),
    ("The current is 5 mA at rest.", "The current is 5 A at rest."),
    ("It opens at 10 a.m. and closes at 6 p.m. daily.", "It opens at 10 p.m. and closes at 6 a.m. daily."),
    ("The estate has two rooms and a garden.", "The estate has one room and a garden."),
    ("Both ships sank off Malta.", "One ship sank off Malta."),
    ("Two of the three ships sank off Malta.", "Three ships sank off Malta."),
    ("One in five members voted for it.", "Five members voted for it."),
    ("Caesar won the battle in 48 BC at Pharsalus.", "Caesar won the battle in 48 at Pharsalus."),
]
SHORT_WORDS = [
    ("Costs fell by a third in 2020.", "Costs fell to a third in 2020."),
    ("Revenue grew from 4.2 to 5.1 billion dollars.", "Revenue grew by 5.1 billion dollars."),
    ("The family fled to Egypt in winter.", "The family fled from Egypt in winter."),
    ("Tolls were abolished in 1999.", "Tolls were abolished after 1999."),
    ("The letter was sent to Anna by Bea.", "The letter was sent by Anna to Bea."),
    ("Take the pill before food.", "Take the pill with food."),
    ("The cache is used unless the flag is given.", "The cache is used if the flag is given."),
    ("Only administrators can delete an index.", "Administrators can only delete an index."),
    ("Tolls were abolished in 1999.", "Tolls were nearly abolished in 1999."),
    ("Almost all tolls were abolished.", "All tolls were abolished."),
]
CLAUSES = [
    ("Marsh led the trial in Oslo, and Quill analysed the data in Bergen.", "Marsh led the trial in Bergen."),
    ("The bill was passed by the House but rejected by the Senate.", "The bill was passed by the Senate."),
    ("The bill was passed by the House but rejected by the Senate.", "The bill was rejected by the House."),
    ("The red wire carries 5 volts and the black wire carries 12 volts.", "The red wire carries 12 volts."),
    ("Anna drew the plans and Boris built the model.", "Anna built the model."),
    ("The first edition appeared in 1851 and the second in 1853.", "The second edition appeared in 1851."),
    ("The king's brother ruled Norway.", "The king ruled Norway."),
    ("The wife of the king ruled Norway.", "The king ruled Norway."),
    ("Caesar defeated Pompey at Pharsalus.", "Caesar was defeated at Pharsalus."),
]
TAKEN_BACK = [
    ("The company failed to deliver 200 engines on time.", "The company delivered 200 engines on time."),
    ("The pilot avoided landing at Keflavik in the storm.", "The pilot landed at Keflavik in the storm."),
    ("The council stopped funding the theatre in 2010.", "The council funded the theatre in 2010."),
    ("The virus spreads through water rather than air.", "The virus spreads through air."),
    ("The chest held lead instead of gold.", "The chest held gold."),
    ("The fake painting was sold in Vienna.", "The painting was sold in Vienna."),
    ("The attempted murder of the duke shocked Milan.", "The murder of the duke shocked Milan."),
    ("The valve hardly ever leaks.", "The valve leaks."),
    ("The treaty would have ended the war had it been signed.", "The treaty ended the war."),
    ("The ministry denied that the dam leaks.", "The dam leaks."),
    ("It is a myth that bats are blind.", "Bats are blind."),
    ("The study failed to show that vitamin C prevents colds.", "Vitamin C prevents colds."),
    ("Critics of the plan say that the dam leaks.", "The dam leaks."),
    ("Until 1990 the museum was free of charge.", "The museum was free of charge."),
    ("The claim that bats are blind is a myth.", "Bats are blind."),
    ("Myth: Bats are blind.", "Bats are blind."),
    ("Are bats blind? No.", "Bats are blind."),
    ("Is aspirin safe for cats? No.", "Aspirin is safe for cats."),
    ("Never do the following:\n\n- Run the server as root\n- Share the key", "- Run the server as root"),
    ("Never do the following:\n\n- Run the server as root\n- Share the key", "Share the key"),
]


PLACES = [
    ("The fee is due on 4 March and the report on 9 April.", "The fee is due on 9 April."),
    ("Sales rose 2.4 points to 31%.", "Sales rose 2.4% to 31%."),
    ("Die Quote sank um 1,5 Punkte.", "Die Quote sank um 1,5%."),
    ("Below -8 degrees the pump stops.", "Below 8 degrees the pump stops."),
    ("At minus 8 degrees the pump stops.", "At 8 degrees the pump stops."),
    ("気温は零下10度でした。", "気温は10度でした。"),
    ("The review is semi-annual.", "The review is annual."),
    ("The king's brother, Karl, led the army.", "The king led the army."),
    ("The plan was opposed by the mayor's deputy.", "The plan was opposed by the mayor."),
    ("The owner's agent, Ada Falk, signed.", "The owner, Ada Falk, signed."),
    ("The council aims to halve its waste.", "The council will halve its waste."),
    ("Older ships tended to leak more.", "Older ships leak more."),
    ("The old key will be removed in June.", "The old key was removed in June."),
    ("Prices rose in Bergen by 4%, and in Oslo they fell.", "Prices fell in Bergen by 4%."),
    ("They ran 12 weeks in adults and 8 weeks in children.", "They ran 12 weeks in children."),
    ("With -f files are kept and with -g files are lost.", "With -f files are lost."),
    ("Le port ouvrira en mai et la gare ouvrira en juin.", "Le port ouvrira en juin."),
    ("Replace the old boiler with the new pump, not the pump itself.", "Replace the new pump with the old boiler."),
    ("The purchase of Norfish by Baltex was cleared.", "The purchase of Baltex by Norfish was cleared."),
    ("La salle n’est pas ouverte aux mineurs non accompagnés.", "La salle est ouverte aux mineurs non accompagnés."),
    ("La gare n’est plus ouverte.", "La gare est ouverte."),
]


EXCEPTIONS = [
    ("the fox ate the hen and " * 100, "the hen ate the fox and " * 100),
    (f"The serial number is {'7' * 30}1.", f"The serial number is {'7' * 30}2."),
    ("Employees may work abroad as long as their manager agrees.", "Employees may work abroad."),
    ("Refunds are issued provided that the goods are unused.", "Refunds are issued."),
    ("Applications must arrive no later than 1 June 2024.", "Applications must arrive after 1 June 2024."),
    ("A visit takes no more than 20 minutes.", "A visit takes 20 minutes."),
    ("The fine is up to 500 euros.", "The fine is 500 euros."),
    ("The fine is at least 500 euros.", "The fine is 500 euros."),
    ("As many as 40 people were injured in the crash.", "No more than 40 people were injured in the crash."),
    ("The device may not work below zero.", "The device cannot work below zero."),
    ("No visitor has to pay the fee.", "No visitor must pay the fee."),
    ("Visitors may have to wait for an hour.", "Visitors must wait for an hour."),
    ("Lund asked whether he has to pay the fee.", "Lund must pay the fee."),
    ("The time that each player has to answer is 30 seconds.", "Each player must answer in 30 seconds."),
    ("Only residents are allowed to park here.", "Residents must park here."),
    ("Close the valve or call the engineer.", "You must close the valve and call the engineer."),
    ("Do not use bleach on wood.", "You must not use bleach."),
    ("Do not take more than two tablets a day.", "You must not take two tablets a day."),
    ("For children under five, halve the dose.", "You should halve the dose."),
    ("Customers receive a card and do not pay fees.", "Customers receive a card and must not pay fees."),
    ("Test results are kept for ten years.", "You must test results for ten years."),
    ("Send the form to the landlord.", "The landlord must send the form."),
    ("If the light is red, close the valve.", "If the light is green, you must close the valve."),
    ("If the vote fails, the mayor resigns; the council is dissolved in May.", "In May the council is dissolved."),
    ("Myth: bats are blind; the moon causes madness in humans.", "In humans the moon causes madness."),
    ("The bank denied that fees rose; clients paid twice for transfers.", "For transfers, clients paid twice."),
    ("Guests must leave a deposit of 20 euros.", "Guests may leave a deposit of 20 euros."),
    ("Every request must carry a key.", "Every request may carry a key."),
    ("An order can be cancelled until the label is printed.", "An order can be cancelled once the label is printed."),
    ("The pump works at 9 bar.", "The pump works at 9 psi."),
    ("Add 50 µl of water.", "Add 50 ml of water."),
    ("Das Dorf liegt 47 Kilometer nördlich.", "Das Dorf liegt 47 Meilen nördlich."),
    ("La garantie dure 24 mois.", "La garantie dure 24 ans."),
    ("容量为60升。", "容量为60毫升。"),
    ("It came with commit 9f3c1ab in May.", "It came with commit 9f3c1ba in May."),
    ("Capacity is 3,400 mAh at rest.", "Capacity is 3,400 Ah at rest."),
    ("The warranty can be transferred once.", "The warranty can be transferred twice."),
    ("If it rings, open the door unless the light is red.", "If it rings, open the door."),
    ("Betroffen sind nur Geräte aus Linz.", "Betroffen sind alle Geräte aus Linz."),
    ("Le musée accepte seulement les cartes de Lyon.", "Le musée accepte les cartes de Lyon."),
    ("All members may vote; those under 18 may not.", "All members may vote; those under 18 may."),
    ("Members may vote; but not in May.", "Members may vote in May."),
    ("Retaliation against whistleblowers leads to dismissal.", "Whistleblowing leads to dismissal."),
    ("Do not charge the cell below zero.", "You must charge the cell below zero."),
    ("Rinse the filter weekly.", "You may rinse the filter weekly, and must rinse the tank."),
    ("Rinse the filter weekly.", "You must rinse the filter and the tank weekly."),
    ("Tenants must rinse the filter weekly.", "You must rinse the filter weekly."),
    ("The filter is rinsed by tenants.", "The filter is rinsed by you."),
    ("The museum closes at six; the shop on the ground floor opens at nine.", "The museum opens at nine."),
]


@pytest.mark.parametrize(("passage", "claim"), EXCEPTIONS)
def test_what_narrows_is_not_left_out(passage, claim):
    assert verdict(passage, claim)[0] == "unsupported"


VOICES = [
    ("The software that Adler developed was bought by Corvin in 2010.", "Corvin developed the software in 2010."),
    ("The law the Senate passed was struck down by the court.", "The court passed the law."),
    ("Goods the seller ships must be insured by the buyer.", "The buyer must ship the goods."),
    ("The ship was sunk by a mine laid by Norway.", "Norway sank the ship."),
    ("The firm failed to win the prize.", "The firm won the prize."),
    ("Lund denied having taken the ring.", "Lund took the ring."),
    ("Rates will rise in June.", "Rates rose in June."),
    ("The ring road will be finished in 2027.", "The ring road was finished."),
    ("Keys are created by the client, then signed by the server.", "The client signs keys."),
    ("Only residents may park here.", "Residents may park here."),
    ("The state plans to buy the island.", "The state bought the island."),
    ("The study will begin in May with 40 patients.", "The study began in May with 40 patients."),
    ("The tenant must leave the flat by May.", "The tenant left the flat by May."),
    ("The destruction of the archive was prevented.", "The archive was destroyed."),
    ("The mill is for sale at 3 million euros.", "The mill was sold at 3 million euros."),
    ("The caretaker must test doors and the owner must pay the fee.", "The fee must be paid by the caretaker."),
    ("The virus is carried by mosquitoes and killed by bats.", "Bats carry the virus."),
    ("The virus is carried by mosquitoes and killed by bats.", "Mosquitoes kill the virus."),
    ("The Senate was defeated by the House.", "The Senate defeated the House."),
    ("Bravion must not be used by people with asthma.", "Bravion must not use people with asthma."),
    ("Texas was visited by the governor of Ohio.", "The governor of Texas visited Ohio."),
    ("The governor of Ohio visited Texas.", "Ohio was visited by the governor of Texas."),
    ("The king was betrayed by the queen in the north and the duke in the south.", "The duke betrayed the king there."),
    ("Prices were raised by shops in May and cut by farmers in June.", "Farmers raised prices in May."),
    ("Ann was hired by Bob and Cy was fired by Dee.", "Dee fired Ann and Bob hired Cy."),
    ("Adler was sued by Corvin before Berg was bought by Lund.", "Lund bought Adler before Corvin sued Berg."),
    ("Milk is spoiled by heat and cheese by light.", "Heat spoils cheese and light milk."),
    ("The drug was not approved by the agency.", "The agency approved the drug."),
    ("The drug was approved by the agency but not by the ministry.", "The ministry approved the drug."),
]


@pytest.mark.parametrize(("passage", "claim"), VOICES)
def test_who_did_it_is_found_in_the_other_voice_too(passage, claim):
    assert verdict(passage, claim)[0] == "unsupported"


@pytest.mark.parametrize(("passage", "claim"), PLACES)
def test_what_stands_in_another_s_place_is_withheld(passage, claim):
    assert verdict(passage, claim)[0] == "unsupported"


def test_a_title_lends_no_word_that_takes_another_s_place():
    passage = "The monthly charge rises to 425 dollars."
    assert verdict(passage, "The annual charge rises to 425 dollars.", "The annual meeting")[0] == "unsupported"
    assert verdict(passage, "In the annual meeting: the monthly charge rises to 425 dollars.", "The annual meeting")[0]


@pytest.mark.parametrize(("passage", "claim"), NEGATION + SIGNS + FIGURES + SHORT_WORDS + CLAUSES + TAKEN_BACK)
def test_what_turns_a_sentence_around_is_withheld(passage, claim):
    assert verdict(passage, claim)[0] == "unsupported"


HONEST = [
    ("If the timeout is not set, requests are cancelled.", "If no timeout is set, requests are cancelled."),
    (
        "Furthermore , crops ( mostly cocoa ) went to the private sector .",
        "Furthermore, crops (mostly cocoa) went to the private sector.",
    ),
    ("The value is 3 . 5 of them were lost .", "5 of them were lost."),
    ("The lynx isn’t tame around people.", "The lynx isn't tame around people."),
    ("The drug was never approved in Norway.", "The drug was not approved in Norway."),
    ("The panel did not reach an agreement.", "The panel reached no agreement."),
    ("The record low was -12 degrees in Oslo.", "The record low in Oslo was -12 degrees."),
    ("The rule fires when size <= 5 holds.", "The rule fires when size ≤ 5 holds."),
    ("Support rose by 3 percentage points in May.", "In May, support rose by 3 percentage points."),
    ("It helped 62% of patients.", "It helped 62 percent of patients."),
    ("Two of the three ships sank off Malta.", "Off Malta, two of the three ships sank."),
    ("It opens at 10 a.m. and closes at 6 p.m. daily.", "It opens daily at 10 am and closes at 6 pm."),
    ("Alice and Bob went home early.", "Alice went home early."),
    ("The large and very old tower leans.", "The tower leans."),
    ("Oslo, the capital of Norway, has a large, old port.", "Oslo has a port."),
    ("The bridge opened in 1987.", "The bridge was opened in 1987."),
    ("The train stopped at Oslo.", "The train stopped at Oslo."),
    ("The company's revenue grew in 2020.", "The revenue of the company grew in 2020."),
    ("In 1990 the museum was free of charge.", "The museum was free of charge."),
    ("Do the following:\n\n- Run the server\n- Share the key", "- Run the server"),
    ("Run the installer first.", "1. Run the installer first."),
    ("Die alte Brücke ist nicht für Lastwagen gesperrt.", "Die Brücke ist nicht für Lastwagen gesperrt."),
    ("Tolls were abolished in 1999.", "According to passage 1, tolls were abolished in 1999."),
    ("Tolls were abolished in 1999.", "Answer: Tolls were abolished in 1999."),
    ("It is not only cheap but also quick to build.", "It is cheap and quick to build."),
    ("Below -8 degrees the pump stops.", "The pump stops below -8 degrees."),
    ("The review is semi-annual.", "The review is semi-annual."),
    ("The turbine was stopped for 19 days in May.", "In May the turbine was stopped for 19 days."),
    ("The council's report on waste came out in May.", "In May the council's report on waste came out."),
    ("It is sold in Spain and in Italy.", "It is sold in Italy."),
    ("Une personne a été blessée dans la gare.", "Dans la gare, une personne a été blessée."),
    ("Never mix mineral and synthetic oils.", "Mineral and synthetic oils must never be mixed."),
    ("Before use, shake the bottle well.", "Shake the bottle well before use."),
    ("Do not charge a cell below zero.", "You must not charge a cell below zero."),
    ("If the light is red, close the valve at once.", "If the light is red, you should close the valve at once."),
    ("Let the iron cool for an hour after use.", "After use, let the iron cool for an hour."),
    ("When the limit is exceeded the server answers 429.", "If the limit is exceeded, the server responds with 429."),
    ("Bravion must not be used by people with asthma.", "People with asthma must not use Bravion."),
    ("The virus is carried by mosquitoes and killed by bats.", "Mosquitoes carry the virus."),
    ("Bikes must not be left here and may be collected.", "Bikes must not be left here and may be collected."),
    ("The café opens after the museum closes.", "The café opens when the museum closes."),
    ("The island can be reached by train or by car.", "The island can be reached by car or by train."),
    ("Tenants are required by law to keep the stairs clean.", "By law, tenants are required to keep the stairs clean."),
    ("Bids that come late will not be considered.", "Bids that come late are not considered."),
    ("The board will decide at the next meeting in May.", "The board will decide in May."),
    ("Old barns may be exempted by the fire marshal.", "The fire marshal may exempt old barns."),
    ("Barns listed before 1990 may be exempted by the marshal.", "The marshal may exempt barns listed before 1990."),
    ("The council never signed the treaty with France.", "The treaty with France was never signed by the council."),
    ("The committee can revoke the licence.", "The licence can be revoked by the committee."),
    (
        "The caretaker must test the doors monthly and the fans once a quarter.",
        "The doors must be tested monthly by the caretaker, and the fans once a quarter.",
    ),
    ("The old bridge was designed by Anna Lund in 1931.", "In 1931 Anna Lund designed the old bridge."),
    (
        "1. Notice is two months. 2. Either party may end it by giving notice in writing.",
        "Either party may end it by giving notice in writing.",
    ),
]


@pytest.mark.parametrize(("passage", "claim"), HONEST)
def test_what_says_the_same_passes(passage, claim):
    assert verdict(passage, claim) == ("supported", None)


def test_code_is_a_whole_line_of_its_passage_and_its_fence_names_a_language():
    passage = "Run this:\n\n    limit=1000\n    rm -rf build\n\nNever run rm -rf / as root."
    for code in ("limit=10", "rm -rf / as root", "limit=1000\nrm -rf /"):
        assert verdict(passage, f"```\n{code}\n```") == ("unsupported", "code_not_exact")
    assert verdict(passage, "```sh\nlimit=1000\n```")[0] == "supported"
    assert verdict(passage, "```never-safe\nlimit=1000\n```")[0] == "unsupported"


def test_a_number_before_a_sentence_is_an_item_s_in_english_and_an_ordinal_in_german():
    assert verdict("Wir gewannen das 1. Spiel im Mai.", "2. Spiel gewannen wir im Mai.")[0] == "unsupported"


@pytest.mark.parametrize("picture", ["❌", "👍", "🇳🇴", "🅈🄴🅂", "⠽⠑⠎", "✓"])
def test_a_picture_may_say_yes_or_no_and_is_a_claim(picture):
    assert verdict("Is it safe for cats? Nobody knows.", picture)[0] == "unsupported"
